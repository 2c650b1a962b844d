BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE audit_log (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	project VARCHAR, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL, 
	CONSTRAINT pk_audit_log PRIMARY KEY (id)
);
INSERT INTO "audit_log" VALUES(1,'2026-01-05 02:00:00.000000','actor 0','action 0','project 0','subject 0','{"row":0}');
INSERT INTO "audit_log" VALUES(2,'2026-01-06 02:00:00.000000','actor 1','action 1',NULL,'subject 1','{"row":1}');
CREATE TABLE baselines (
	id VARCHAR NOT NULL, 
	model_id INTEGER NOT NULL, 
	active BOOLEAN NOT NULL, 
	source VARCHAR NOT NULL, 
	start DATETIME, 
	"end" DATETIME, 
	n_records BIGINT NOT NULL, 
	profile_path VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_baselines PRIMARY KEY (id), 
	CONSTRAINT fk_baselines_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE
);
INSERT INTO "baselines" VALUES('id 0',1,0,'upload','2026-01-05 05:00:00.000000','2026-01-05 03:00:00.000000',1,'default/fares/baselines/b0.arrow','2026-01-05 10:00:00.000000');
INSERT INTO "baselines" VALUES('id 1',1,1,'upload','2026-01-06 05:00:00.000000','2026-01-06 03:00:00.000000',2,'default/fares/baselines/b1.arrow','2026-01-06 10:00:00.000000');
CREATE TABLE counters (
	name VARCHAR NOT NULL, 
	value BIGINT NOT NULL, 
	CONSTRAINT pk_counters PRIMARY KEY (name)
);
INSERT INTO "counters" VALUES('models',1);
INSERT INTO "counters" VALUES('others',2);
CREATE TABLE erasure_parts (
	erasure_id VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	emptied_at DATETIME NOT NULL, 
	cleared INTEGER NOT NULL, 
	found JSON NOT NULL, 
	CONSTRAINT pk_erasure_parts PRIMARY KEY (erasure_id, server), 
	CONSTRAINT fk_erasure_parts_erasure_id_erasures FOREIGN KEY(erasure_id) REFERENCES erasures (id) ON DELETE CASCADE
);
INSERT INTO "erasure_parts" VALUES('id 0','server 0','2026-01-05 10:00:00.000000',1,'{"row":0}');
INSERT INTO "erasure_parts" VALUES('id 1','server 1','2026-01-06 10:00:00.000000',2,'{"row":1}');
CREATE TABLE erasures (
	id VARCHAR NOT NULL, 
	model_id INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	turn INTEGER NOT NULL, 
	requested_at DATETIME NOT NULL, 
	requested_by VARCHAR NOT NULL, 
	asked INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	ids JSON, 
	receipt JSON NOT NULL, 
	done_at DATETIME, 
	CONSTRAINT pk_erasures PRIMARY KEY (id), 
	CONSTRAINT fk_erasures_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE
);
INSERT INTO "erasures" VALUES('id 0',1,'open',1,'2026-01-05 12:00:00.000000','requested_by 0',1,'digest 0','["p1","p2"]','{}','2026-01-05 07:00:00.000000');
INSERT INTO "erasures" VALUES('id 1',2,'done',2,'2026-01-06 12:00:00.000000','requested_by 1',2,'digest 1',NULL,'{"rows":{"records":2}}','2026-01-06 07:00:00.000000');
CREATE TABLE incident_alarms (
	id INTEGER NOT NULL, 
	incident_id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	version VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	"column" VARCHAR NOT NULL, 
	segment VARCHAR NOT NULL, 
	window_start DATETIME NOT NULL, 
	window_end DATETIME NOT NULL, 
	value DOUBLE, 
	expected DOUBLE, 
	lower DOUBLE, 
	upper DOUBLE, 
	p_value DOUBLE, 
	effect DOUBLE, 
	n_current BIGINT NOT NULL, spread DOUBLE, level DOUBLE, reason VARCHAR, 
	CONSTRAINT pk_incident_alarms PRIMARY KEY (id), 
	CONSTRAINT fk_incident_alarms_incident_id_incidents FOREIGN KEY(incident_id) REFERENCES incidents (id) ON DELETE CASCADE, 
	CONSTRAINT uq_incident_alarms_key UNIQUE (model_id, version, metric, "column", segment, window_start)
);
INSERT INTO "incident_alarms" VALUES(1,1,1,'version 0','psi','age','','2026-01-05 12:00:00.000000','2026-01-05 10:00:00.000000',0.25,0.25,0.25,0.25,0.25,0.25,1,0.25,0.25,'reason 0');
INSERT INTO "incident_alarms" VALUES(2,2,1,'version 1','psi','carrier','{"carrier": "UA"}','2026-01-06 12:00:00.000000','2026-01-06 10:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL);
CREATE TABLE incidents (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	version VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	severity VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	opened_at DATETIME NOT NULL, 
	first_window DATETIME NOT NULL, 
	last_window DATETIME NOT NULL, 
	title VARCHAR NOT NULL, 
	summary VARCHAR NOT NULL, 
	evidence JSON NOT NULL, 
	acknowledged_by VARCHAR, 
	acknowledged_at DATETIME, 
	resolved_by VARCHAR, 
	resolved_at DATETIME, 
	CONSTRAINT pk_incidents PRIMARY KEY (id), 
	CONSTRAINT fk_incidents_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE
);
INSERT INTO "incidents" VALUES(1,1,'version 0','drift','warning','open','2026-01-05 09:00:00.000000','2026-01-05 12:00:00.000000','2026-01-05 11:00:00.000000','title 0','summary 0','{"row":0}','acknowledged_by 0','2026-01-05 15:00:00.000000','resolved_by 0','2026-01-05 11:00:00.000000');
INSERT INTO "incidents" VALUES(2,1,'version 1','performance','warning','resolved','2026-01-06 09:00:00.000000','2026-01-06 12:00:00.000000','2026-01-06 11:00:00.000000','title 1','summary 1','{"row":1}',NULL,'2026-01-06 15:00:00.000000',NULL,'2026-01-06 11:00:00.000000');
CREATE TABLE leases (
	name VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	term BIGINT NOT NULL, 
	beat BIGINT NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name), 
	CONSTRAINT uq_leases_name_term UNIQUE (name, term)
);
INSERT INTO "leases" VALUES('scheduler','server-1',1,1);
INSERT INTO "leases" VALUES('upkeep','',2,2);
CREATE TABLE models (
	id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	task VARCHAR, 
	window_seconds INTEGER NOT NULL, 
	lateness_seconds INTEGER NOT NULL, 
	label_horizon_seconds INTEGER NOT NULL, 
	restate_interval_seconds INTEGER NOT NULL, 
	schema JSON NOT NULL, 
	schema_number INTEGER NOT NULL, 
	settings JSON NOT NULL, 
	progress JSON NOT NULL, 
	created_at DATETIME NOT NULL, monitors JSON DEFAULT '{}' NOT NULL, revision BIGINT DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_models PRIMARY KEY (id), 
	CONSTRAINT fk_models_project_id_projects FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE, 
	CONSTRAINT uq_models_project_id_folded UNIQUE (project_id, folded)
);
INSERT INTO "models" VALUES(1,1,'fares','fares',NULL,86400,3600,864000,600,'{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}',1,'{}','{"seen_offset":12,"closed_until":"2026-01-06T00:00:00+00:00"}','2026-01-05 10:00:00.000000','{}',1);
INSERT INTO "models" VALUES(2,2,'Größe €','größe €','binary',3600,3600,864000,600,'{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}',2,'{}','{"seen_offset":12,"closed_until":"2026-01-06T00:00:00+00:00"}','2026-01-06 10:00:00.000000','{"false_alarms":{"count":1,"per":"30d"}}',2);
CREATE TABLE new_fields (
	model_id INTEGER NOT NULL, 
	turn BIGINT NOT NULL, 
	counted_at DATETIME NOT NULL, 
	counted JSON NOT NULL, 
	fields JSON NOT NULL, 
	left_out BIGINT NOT NULL, 
	CONSTRAINT pk_new_fields PRIMARY KEY (model_id), 
	CONSTRAINT fk_new_fields_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE
);
INSERT INTO "new_fields" VALUES(1,1,'2026-01-05 10:00:00.000000','{"journal-1":7}','{"weight":{"count":3}}',1);
INSERT INTO "new_fields" VALUES(2,2,'2026-01-06 10:00:00.000000','{"journal-1":7}','{"weight":{"count":3}}',2);
CREATE TABLE news (
	id INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	journal VARCHAR NOT NULL, 
	first_offset BIGINT NOT NULL, 
	last_offset BIGINT NOT NULL, 
	records BIGINT NOT NULL, 
	labels BIGINT NOT NULL, 
	quarantined BIGINT NOT NULL, 
	first_event DATETIME, 
	last_event DATETIME, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_news PRIMARY KEY (id)
);
INSERT INTO "news" VALUES(1,'default','fares','journal 0',1,1,1,1,1,'2026-01-05 11:00:00.000000','2026-01-05 10:00:00.000000','2026-01-05 02:00:00.000000');
INSERT INTO "news" VALUES(2,'default','fares','journal 1',2,2,2,2,2,'2026-01-06 11:00:00.000000','2026-01-06 10:00:00.000000','2026-01-06 02:00:00.000000');
CREATE TABLE projects (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (id), 
	CONSTRAINT uq_projects_folded UNIQUE (folded)
);
INSERT INTO "projects" VALUES(1,'default','default','2026-01-05 10:00:00.000000');
INSERT INTO "projects" VALUES(2,'Zweig','zweig','2026-01-06 10:00:00.000000');
CREATE TABLE schema_revisions (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	schema JSON NOT NULL, 
	actor VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_schema_revisions PRIMARY KEY (id), 
	CONSTRAINT fk_schema_revisions_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE, 
	CONSTRAINT uq_schema_revisions_model_id_number UNIQUE (model_id, number)
);
INSERT INTO "schema_revisions" VALUES(1,1,1,'{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}','actor 0','reason 0','2026-01-05 10:00:00.000000');
INSERT INTO "schema_revisions" VALUES(2,2,2,'{"columns":[{"name":"prediction_id","type":"text","role":"prediction_id"},{"name":"timestamp","type":"datetime","role":"timestamp"},{"name":"age","type":"numeric","role":"feature"},{"name":"carrier","type":"categorical","role":"segment"}]}','actor 1','reason 1','2026-01-06 10:00:00.000000');
CREATE TABLE servers (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	since DATETIME NOT NULL, 
	CONSTRAINT pk_servers PRIMARY KEY (id)
);
INSERT INTO "servers" VALUES('id 0','name 0','2026-01-05 05:00:00.000000');
INSERT INTO "servers" VALUES('id 1','name 1','2026-01-06 05:00:00.000000');
CREATE TABLE versions (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	first_seen DATETIME NOT NULL, 
	last_seen DATETIME NOT NULL, 
	CONSTRAINT pk_versions PRIMARY KEY (id), 
	CONSTRAINT fk_versions_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE, 
	CONSTRAINT uq_versions_model_id_name UNIQUE (model_id, name)
);
INSERT INTO "versions" VALUES(1,1,'','2026-01-05 10:00:00.000000','2026-01-05 09:00:00.000000');
INSERT INTO "versions" VALUES(2,2,'2','2026-01-06 10:00:00.000000','2026-01-06 09:00:00.000000');
CREATE TABLE windows (
	id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	version VARCHAR NOT NULL, 
	start DATETIME NOT NULL, 
	"end" DATETIME NOT NULL, 
	state VARCHAR NOT NULL, 
	n_records BIGINT NOT NULL, 
	n_labelled BIGINT NOT NULL, 
	basis VARCHAR, 
	profiled_at DATETIME, 
	CONSTRAINT pk_windows PRIMARY KEY (id), 
	CONSTRAINT fk_windows_model_id_models FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE, 
	CONSTRAINT uq_windows_model_id_version_start_end UNIQUE (model_id, version, start, "end")
);
INSERT INTO "windows" VALUES(1,1,'','2026-01-05 05:00:00.000000','2026-01-05 03:00:00.000000','closed',1,1,NULL,'2026-01-05 11:00:00.000000');
INSERT INTO "windows" VALUES(2,2,'2','2026-01-06 05:00:00.000000','2026-01-06 03:00:00.000000','closed',2,2,'final','2026-01-06 11:00:00.000000');
CREATE INDEX ix_baselines_model_id ON baselines (model_id);
CREATE UNIQUE INDEX uq_baselines_active ON baselines (model_id) WHERE active;
CREATE INDEX ix_incidents_model_id_state ON incidents (model_id, state);
CREATE INDEX ix_incident_alarms_incident_id ON incident_alarms (incident_id);
CREATE INDEX ix_audit_log_at ON audit_log (at);
CREATE INDEX ix_erasures_model_id ON erasures (model_id);
COMMIT;
