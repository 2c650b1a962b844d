CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit_log (
    id integer NOT NULL,
    at timestamp with time zone NOT NULL,
    actor character varying NOT NULL,
    action character varying NOT NULL,
    project character varying,
    subject character varying NOT NULL,
    details json NOT NULL
);
CREATE SEQUENCE public.audit_log_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_log_id_seq OWNED BY public.audit_log.id;
CREATE TABLE public.baselines (
    id character varying NOT NULL,
    model_id integer NOT NULL,
    active boolean NOT NULL,
    source character varying NOT NULL,
    start timestamp with time zone,
    "end" timestamp with time zone,
    n_records bigint NOT NULL,
    profile_path character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.counters (
    name character varying NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.erasure_parts (
    erasure_id character varying NOT NULL,
    server character varying NOT NULL,
    emptied_at timestamp with time zone NOT NULL,
    cleared integer NOT NULL,
    found json NOT NULL
);
CREATE TABLE public.erasures (
    id character varying NOT NULL,
    model_id integer NOT NULL,
    state character varying NOT NULL,
    turn integer NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    requested_by character varying NOT NULL,
    asked integer NOT NULL,
    digest character varying NOT NULL,
    ids json,
    receipt json NOT NULL,
    done_at timestamp with time zone
);
CREATE TABLE public.incident_alarms (
    id integer NOT NULL,
    incident_id integer NOT NULL,
    model_id integer NOT NULL,
    version character varying NOT NULL,
    metric character varying NOT NULL,
    "column" character varying NOT NULL,
    segment character varying NOT NULL,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone NOT NULL,
    value double precision,
    expected double precision,
    lower double precision,
    upper double precision,
    p_value double precision,
    effect double precision,
    n_current bigint NOT NULL,
    spread double precision,
    level double precision,
    reason character varying
);
CREATE SEQUENCE public.incident_alarms_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.incident_alarms_id_seq OWNED BY public.incident_alarms.id;
CREATE TABLE public.incidents (
    id integer NOT NULL,
    model_id integer NOT NULL,
    version character varying NOT NULL,
    kind character varying NOT NULL,
    severity character varying NOT NULL,
    state character varying NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    first_window timestamp with time zone NOT NULL,
    last_window timestamp with time zone NOT NULL,
    title character varying NOT NULL,
    summary character varying NOT NULL,
    evidence json NOT NULL,
    acknowledged_by character varying,
    acknowledged_at timestamp with time zone,
    resolved_by character varying,
    resolved_at timestamp with time zone
);
CREATE SEQUENCE public.incidents_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.incidents_id_seq OWNED BY public.incidents.id;
CREATE TABLE public.leases (
    name character varying NOT NULL,
    owner character varying NOT NULL,
    term bigint NOT NULL,
    beat bigint NOT NULL
);
CREATE TABLE public.models (
    id integer NOT NULL,
    project_id integer NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    task character varying,
    window_seconds integer NOT NULL,
    lateness_seconds integer NOT NULL,
    label_horizon_seconds integer NOT NULL,
    restate_interval_seconds integer NOT NULL,
    schema json NOT NULL,
    schema_number integer NOT NULL,
    settings json NOT NULL,
    progress json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    monitors json DEFAULT '{}'::json NOT NULL,
    revision bigint DEFAULT 0 NOT NULL
);
CREATE SEQUENCE public.models_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.models_id_seq OWNED BY public.models.id;
CREATE TABLE public.new_fields (
    model_id integer NOT NULL,
    turn bigint NOT NULL,
    counted_at timestamp with time zone NOT NULL,
    counted json NOT NULL,
    fields json NOT NULL,
    left_out bigint NOT NULL
);
CREATE TABLE public.news (
    id bigint NOT NULL,
    project character varying NOT NULL,
    model character varying NOT NULL,
    journal character varying NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    records bigint NOT NULL,
    labels bigint NOT NULL,
    quarantined bigint NOT NULL,
    first_event timestamp with time zone,
    last_event timestamp with time zone,
    at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.news_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.news_id_seq OWNED BY public.news.id;
CREATE TABLE public.projects (
    id integer NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.projects_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.projects_id_seq OWNED BY public.projects.id;
CREATE TABLE public.schema_revisions (
    id integer NOT NULL,
    model_id integer NOT NULL,
    number integer NOT NULL,
    schema json NOT NULL,
    actor character varying NOT NULL,
    reason character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.schema_revisions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.schema_revisions_id_seq OWNED BY public.schema_revisions.id;
CREATE TABLE public.servers (
    id character varying NOT NULL,
    name character varying NOT NULL,
    since timestamp with time zone NOT NULL
);
CREATE TABLE public.versions (
    id integer NOT NULL,
    model_id integer NOT NULL,
    name character varying NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.versions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.versions_id_seq OWNED BY public.versions.id;
CREATE TABLE public.windows (
    id integer NOT NULL,
    model_id integer NOT NULL,
    version character varying NOT NULL,
    start timestamp with time zone NOT NULL,
    "end" timestamp with time zone NOT NULL,
    state character varying NOT NULL,
    n_records bigint NOT NULL,
    n_labelled bigint NOT NULL,
    basis character varying,
    profiled_at timestamp with time zone
);
CREATE SEQUENCE public.windows_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.windows_id_seq OWNED BY public.windows.id;
ALTER TABLE ONLY public.audit_log ALTER COLUMN id SET DEFAULT nextval('public.audit_log_id_seq'::regclass);
ALTER TABLE ONLY public.incident_alarms ALTER COLUMN id SET DEFAULT nextval('public.incident_alarms_id_seq'::regclass);
ALTER TABLE ONLY public.incidents ALTER COLUMN id SET DEFAULT nextval('public.incidents_id_seq'::regclass);
ALTER TABLE ONLY public.models ALTER COLUMN id SET DEFAULT nextval('public.models_id_seq'::regclass);
ALTER TABLE ONLY public.news ALTER COLUMN id SET DEFAULT nextval('public.news_id_seq'::regclass);
ALTER TABLE ONLY public.projects ALTER COLUMN id SET DEFAULT nextval('public.projects_id_seq'::regclass);
ALTER TABLE ONLY public.schema_revisions ALTER COLUMN id SET DEFAULT nextval('public.schema_revisions_id_seq'::regclass);
ALTER TABLE ONLY public.versions ALTER COLUMN id SET DEFAULT nextval('public.versions_id_seq'::regclass);
ALTER TABLE ONLY public.windows ALTER COLUMN id SET DEFAULT nextval('public.windows_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0006');
INSERT INTO public.audit_log VALUES (1, '2026-01-05 02:00:00+00', 'actor 0', 'action 0', 'project 0', 'subject 0', '{"row":0}');
INSERT INTO public.audit_log VALUES (2, '2026-01-06 02:00:00+00', 'actor 1', 'action 1', NULL, 'subject 1', '{"row":1}');
INSERT INTO public.baselines VALUES ('id 0', 1, false, 'upload', '2026-01-05 05:00:00+00', '2026-01-05 03:00:00+00', 1, 'default/fares/baselines/b0.arrow', '2026-01-05 10:00:00+00');
INSERT INTO public.baselines VALUES ('id 1', 1, true, 'upload', '2026-01-06 05:00:00+00', '2026-01-06 03:00:00+00', 2, 'default/fares/baselines/b1.arrow', '2026-01-06 10:00:00+00');
INSERT INTO public.counters VALUES ('models', 1);
INSERT INTO public.counters VALUES ('others', 2);
INSERT INTO public.erasure_parts VALUES ('id 0', 'server 0', '2026-01-05 10:00:00+00', 1, '{"row":0}');
INSERT INTO public.erasure_parts VALUES ('id 1', 'server 1', '2026-01-06 10:00:00+00', 2, '{"row":1}');
INSERT INTO public.erasures VALUES ('id 0', 1, 'open', 1, '2026-01-05 12:00:00+00', 'requested_by 0', 1, 'digest 0', '["p1","p2"]', '{}', '2026-01-05 07:00:00+00');
INSERT INTO public.erasures VALUES ('id 1', 2, 'done', 2, '2026-01-06 12:00:00+00', 'requested_by 1', 2, 'digest 1', NULL, '{"rows":{"records":2}}', '2026-01-06 07:00:00+00');
INSERT INTO public.incident_alarms VALUES (1, 1, 1, 'version 0', 'psi', 'age', '', '2026-01-05 12:00:00+00', '2026-01-05 10:00:00+00', 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1, 0.25, 0.25, 'reason 0');
INSERT INTO public.incident_alarms VALUES (2, 2, 1, 'version 1', 'psi', 'carrier', '{"carrier": "UA"}', '2026-01-06 12:00:00+00', '2026-01-06 10:00:00+00', NULL, NULL, NULL, NULL, NULL, NULL, 2, NULL, NULL, NULL);
INSERT INTO public.incidents VALUES (1, 1, 'version 0', 'drift', 'warning', 'open', '2026-01-05 09:00:00+00', '2026-01-05 12:00:00+00', '2026-01-05 11:00:00+00', 'title 0', 'summary 0', '{"row":0}', 'acknowledged_by 0', '2026-01-05 15:00:00+00', 'resolved_by 0', '2026-01-05 11:00:00+00');
INSERT INTO public.incidents VALUES (2, 1, 'version 1', 'performance', 'warning', 'resolved', '2026-01-06 09:00:00+00', '2026-01-06 12:00:00+00', '2026-01-06 11:00:00+00', 'title 1', 'summary 1', '{"row":1}', NULL, '2026-01-06 15:00:00+00', NULL, '2026-01-06 11:00:00+00');
INSERT INTO public.leases VALUES ('scheduler', 'server-1', 1, 1);
INSERT INTO public.leases VALUES ('upkeep', '', 2, 2);
INSERT INTO public.models VALUES (1, 1, 'fares', 'fares', NULL, 86400, 3600, 864000, 600, '{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}', 1, '{}', '{"seen_offset":12,"closed_until":"2026-01-06T00:00:00+00:00"}', '2026-01-05 10:00:00+00', '{}', 1);
INSERT INTO public.models VALUES (2, 2, 'Größe €', 'größe €', 'binary', 3600, 3600, 864000, 600, '{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}', 2, '{}', '{"seen_offset":12,"closed_until":"2026-01-06T00:00:00+00:00"}', '2026-01-06 10:00:00+00', '{"false_alarms":{"count":1,"per":"30d"}}', 2);
INSERT INTO public.new_fields VALUES (1, 1, '2026-01-05 10:00:00+00', '{"journal-1":7}', '{"weight":{"count":3}}', 1);
INSERT INTO public.new_fields VALUES (2, 2, '2026-01-06 10:00:00+00', '{"journal-1":7}', '{"weight":{"count":3}}', 2);
INSERT INTO public.news VALUES (1, 'default', 'fares', 'journal 0', 1, 1, 1, 1, 1, '2026-01-05 11:00:00+00', '2026-01-05 10:00:00+00', '2026-01-05 02:00:00+00');
INSERT INTO public.news VALUES (2, 'default', 'fares', 'journal 1', 2, 2, 2, 2, 2, '2026-01-06 11:00:00+00', '2026-01-06 10:00:00+00', '2026-01-06 02:00:00+00');
INSERT INTO public.projects VALUES (1, 'default', 'default', '2026-01-05 10:00:00+00');
INSERT INTO public.projects VALUES (2, 'Zweig', 'zweig', '2026-01-06 10:00:00+00');
INSERT INTO public.schema_revisions VALUES (1, 1, 1, '{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}', 'actor 0', 'reason 0', '2026-01-05 10:00:00+00');
INSERT INTO public.schema_revisions VALUES (2, 2, 2, '{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}', 'actor 1', 'reason 1', '2026-01-06 10:00:00+00');
INSERT INTO public.servers VALUES ('id 0', 'name 0', '2026-01-05 05:00:00+00');
INSERT INTO public.servers VALUES ('id 1', 'name 1', '2026-01-06 05:00:00+00');
INSERT INTO public.versions VALUES (1, 1, '', '2026-01-05 10:00:00+00', '2026-01-05 09:00:00+00');
INSERT INTO public.versions VALUES (2, 2, '2', '2026-01-06 10:00:00+00', '2026-01-06 09:00:00+00');
INSERT INTO public.windows VALUES (1, 1, '', '2026-01-05 05:00:00+00', '2026-01-05 03:00:00+00', 'closed', 1, 1, NULL, '2026-01-05 11:00:00+00');
INSERT INTO public.windows VALUES (2, 2, '2', '2026-01-06 05:00:00+00', '2026-01-06 03:00:00+00', 'closed', 2, 2, 'final', '2026-01-06 11:00:00+00');
SELECT pg_catalog.setval('public.audit_log_id_seq', 2, true);
SELECT pg_catalog.setval('public.incident_alarms_id_seq', 2, true);
SELECT pg_catalog.setval('public.incidents_id_seq', 2, true);
SELECT pg_catalog.setval('public.models_id_seq', 2, true);
SELECT pg_catalog.setval('public.news_id_seq', 2, true);
SELECT pg_catalog.setval('public.projects_id_seq', 2, true);
SELECT pg_catalog.setval('public.schema_revisions_id_seq', 2, true);
SELECT pg_catalog.setval('public.versions_id_seq', 2, true);
SELECT pg_catalog.setval('public.windows_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT pk_audit_log PRIMARY KEY (id);
ALTER TABLE ONLY public.baselines
    ADD CONSTRAINT pk_baselines PRIMARY KEY (id);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT pk_counters PRIMARY KEY (name);
ALTER TABLE ONLY public.erasure_parts
    ADD CONSTRAINT pk_erasure_parts PRIMARY KEY (erasure_id, server);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT pk_erasures PRIMARY KEY (id);
ALTER TABLE ONLY public.incident_alarms
    ADD CONSTRAINT pk_incident_alarms PRIMARY KEY (id);
ALTER TABLE ONLY public.incidents
    ADD CONSTRAINT pk_incidents PRIMARY KEY (id);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT pk_leases PRIMARY KEY (name);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT pk_models PRIMARY KEY (id);
ALTER TABLE ONLY public.new_fields
    ADD CONSTRAINT pk_new_fields PRIMARY KEY (model_id);
ALTER TABLE ONLY public.news
    ADD CONSTRAINT pk_news PRIMARY KEY (id);
ALTER TABLE ONLY public.projects
    ADD CONSTRAINT pk_projects PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_revisions
    ADD CONSTRAINT pk_schema_revisions PRIMARY KEY (id);
ALTER TABLE ONLY public.servers
    ADD CONSTRAINT pk_servers PRIMARY KEY (id);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT pk_versions PRIMARY KEY (id);
ALTER TABLE ONLY public.windows
    ADD CONSTRAINT pk_windows PRIMARY KEY (id);
ALTER TABLE ONLY public.incident_alarms
    ADD CONSTRAINT uq_incident_alarms_key UNIQUE (model_id, version, metric, "column", segment, window_start);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT uq_leases_name_term UNIQUE (name, term);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT uq_models_project_id_folded UNIQUE (project_id, folded);
ALTER TABLE ONLY public.projects
    ADD CONSTRAINT uq_projects_folded UNIQUE (folded);
ALTER TABLE ONLY public.schema_revisions
    ADD CONSTRAINT uq_schema_revisions_model_id_number UNIQUE (model_id, number);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT uq_versions_model_id_name UNIQUE (model_id, name);
ALTER TABLE ONLY public.windows
    ADD CONSTRAINT uq_windows_model_id_version_start_end UNIQUE (model_id, version, start, "end");
CREATE INDEX ix_audit_log_at ON public.audit_log USING btree (at);
CREATE INDEX ix_baselines_model_id ON public.baselines USING btree (model_id);
CREATE INDEX ix_erasures_model_id ON public.erasures USING btree (model_id);
CREATE INDEX ix_incident_alarms_incident_id ON public.incident_alarms USING btree (incident_id);
CREATE INDEX ix_incidents_model_id_state ON public.incidents USING btree (model_id, state);
CREATE UNIQUE INDEX uq_baselines_active ON public.baselines USING btree (model_id) WHERE active;
ALTER TABLE ONLY public.baselines
    ADD CONSTRAINT fk_baselines_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.erasure_parts
    ADD CONSTRAINT fk_erasure_parts_erasure_id_erasures FOREIGN KEY (erasure_id) REFERENCES public.erasures(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT fk_erasures_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.incident_alarms
    ADD CONSTRAINT fk_incident_alarms_incident_id_incidents FOREIGN KEY (incident_id) REFERENCES public.incidents(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.incidents
    ADD CONSTRAINT fk_incidents_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.models
    ADD CONSTRAINT fk_models_project_id_projects FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.new_fields
    ADD CONSTRAINT fk_new_fields_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.schema_revisions
    ADD CONSTRAINT fk_schema_revisions_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT fk_versions_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.windows
    ADD CONSTRAINT fk_windows_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
