"""The one settings class: from arguments, then ``TIDEGAUGE_*`` variables, then the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tidegauge.errors import BadInput
from tidegauge.schema.durations import read_duration

PREFIX = "TIDEGAUGE_"
_MIB = 1 << 20


def duration(value: object) -> object:
    """Read a span of time such as ``"10m"`` or ``"1d"``; a bare number counts seconds.

    Examples
    --------
    >>> duration("1d"), duration("0.5")
    (datetime.timedelta(days=1), datetime.timedelta(microseconds=500000))
    """
    if not isinstance(value, str):
        return value
    span = read_duration(value)
    try:
        return timedelta(seconds=float(value)) if span is None else span
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is no span of time; write 2s, 10m, 6h, 1d or 2w") from None


def _words(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _lower_case(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _options(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(read, dict) or not all(isinstance(text, str) for text in read.values()):
        raise ValueError('it is no JSON object of texts, such as {"AWS_REGION": "eu-west-1"}')
    return read


Span = Annotated[timedelta, BeforeValidator(duration), Field(gt=timedelta(0))]
SpanOrZero = Annotated[timedelta, BeforeValidator(duration), Field(ge=timedelta(0))]


class Settings(BaseModel):
    """Everything that can be set.

    Each field is also the environment variable ``TIDEGAUGE_`` and its name in capitals. Spans of
    time are written ``2s``, ``10m``, ``6h``, ``1d``; sizes are bytes.

    Examples
    --------
    >>> Settings(port=9000).address
    'http://127.0.0.1:9000'
    >>> Settings.load({"TIDEGAUGE_WINDOW": "6h"}).window
    datetime.timedelta(seconds=21600)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Where things are kept.
    data: Path = Field(
        Path("tidegauge-data"),
        description="Folder of journal, lake and catalog; one server process at a time holds it.",
    )
    lake: str | None = Field(
        None,
        min_length=1,
        description="Where the tables are: a folder, or a prefix of an object store such as "
        "s3://bucket/prefix, gs:// or az://; by default the folder lake in data. Several servers "
        "may share it.",
    )
    lake_options: Annotated[dict[str, str], BeforeValidator(_options)] = Field(
        {},
        repr=False,
        description="Options of the object store, as deltalake takes them: a JSON object of texts, "
        'such as {"AWS_REGION": "eu-west-1"}.',
    )
    cache_size: int = Field(
        10240 * _MIB,
        gt=0,
        description="Bytes of local copies of an object store's files, in the folder cache in "
        "data; queries read these.",
    )
    database_url: str | None = Field(
        None,
        description="Catalog as an SQLAlchemy URL; by default the file catalog.sqlite in data.",
    )

    # Where it is reached.
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on; nothing is authenticated in this version, so anything "
        "but this machine's own address opens it to the network.",
    )
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        (),
        description="Host names under which it may be called besides its own, comma-separated, "
        "such as that of a proxy before it; * for any. Only asked where host is a loopback one.",
    )
    drain: Span = Field(
        timedelta(seconds=10),
        description="How long running requests may take to end once the server is told to stop.",
    )

    # What a request may be.
    max_body: int = Field(
        32 * _MIB, gt=0, description="Largest body of a request, sent or unpacked."
    )
    max_baseline: int = Field(
        1024 * _MIB, gt=0, description="Largest uploaded baseline; it waits on disk, not in memory."
    )
    request_timeout: Span = Field(
        timedelta(seconds=60),
        description="How long a client may take to send a request: its head, and then its body, "
        "which gets a further second for every 64 KiB that have come. Then it is cut off.",
    )
    infer_schemas: bool = Field(
        True, description="Whether a model that is not known is created from its first records."
    )

    # How much may wait, before senders are told to try again later.
    max_requests: int = Field(
        1000, gt=0, description="Requests with records that may be worked on at the same time."
    )
    max_request_bytes: int = Field(
        256 * _MIB, gt=0, description="Bytes of the bodies that may be worked on at the same time."
    )
    max_queued: int = Field(
        64 * _MIB, gt=0, description="Bytes of requests that may wait for the journal's commit."
    )
    max_backlog: int = Field(
        8192 * _MIB, gt=0, description="Bytes of journalled records that may wait for the lake."
    )
    min_free: int = Field(
        512 * _MIB,
        ge=0,
        description="Free bytes on the data folder's disk, below which nothing more is taken in: "
        "the lake needs room for what is waiting already.",
    )

    # When things happen.
    flush_interval: Span = Field(
        timedelta(seconds=2),
        le=timedelta(minutes=1),
        description="How often journalled records move to the lake, where they can be read.",
    )
    tick_interval: Span = Field(
        timedelta(seconds=1), description="How often the scheduler looks for windows to close."
    )
    restate_interval: Span = Field(
        timedelta(minutes=10),
        description="How often at most a window is computed again because of late labels.",
    )
    upkeep_interval: Span = Field(
        timedelta(seconds=15),
        description="How often tables are looked at: small files joined, old ones deleted.",
    )
    erase_grace: SpanOrZero = Field(
        timedelta(minutes=10),
        description="For how long files with erased records stay for queries that began before; "
        "longer than the longest query.",
    )

    # What it tells of itself.
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(_lower_case)
    ] = Field(
        "warning",
        description="What is logged: debug, info (every request but those with records, windows "
        "that close), warning or error.",
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower_case)] = Field(
        "console", description="console for people, json for programs: one object a line."
    )
    traces: str | None = Field(
        None,
        description="Where spans of its own work are sent, as OpenTelemetry: the address of an "
        "OTLP receiver such as http://localhost:4318, or off; by default where "
        "OTEL_EXPORTER_OTLP_ENDPOINT says, if it says anything. Needs the extra tracing.",
    )
    trace_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the requests that are traced, of those whose caller does not say; "
        "what the server does by itself is always traced.",
    )
    stop_delay: SpanOrZero = Field(
        timedelta(0),
        description="How long it goes on answering, as not ready, once it is told to stop: time "
        "for a load balancer to send requests elsewhere.",
    )

    # What models start with; each model keeps its own once it is created.
    window: Span = Field(timedelta(days=1), description="Width of a new model's windows.")
    lateness: SpanOrZero = Field(
        timedelta(hours=1),
        description="How long after the end of a window records may still come; then it closes.",
    )
    label_horizon: Span = Field(
        timedelta(days=90), description="How far back the prediction of a label is searched."
    )

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Take what is given, what is not from the environment, and what is in neither by default.

        Parameters
        ----------
        environment : mapping, optional
            The process's own by default. Variables that name no setting are left alone.
        **given
            Settings by name; those that are None count as not given.

        Raises
        ------
        BadInput
            With the name of the setting or variable, what is wrong with it and what it is for.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            if (text := environment.get(variable(name))) is not None:
                values[name] = text
        values.update({name: value for name, value in given.items() if value is not None})
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            from_variable = given.get(name) is None and variable(name) in environment
            field = cls.model_fields.get(name)
            hint = f" ({field.description})" if field is not None else ""
            raise BadInput(
                f"{variable(name) if from_variable else name}: "
                f"{str(first['msg']).removeprefix('Value error, ')}{hint}",
                code="bad_setting",
            ) from None

    @property
    def address(self) -> str:
        """The URL under which this machine reaches the server."""
        return f"http://{shown_host(self.host)}:{self.port}"

    @property
    def lake_root(self) -> str:
        """The lake's folder or URL."""
        return self.lake or str(self.data / "lake")

    @property
    def catalog_url(self) -> str:
        """The catalog's SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{(self.data / 'catalog.sqlite').absolute()}"


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> variable("port")
    'TIDEGAUGE_PORT'
    """
    return PREFIX + name.upper()


def shown_host(host: str) -> str:
    """Return a host as it stands in a URL.

    Examples
    --------
    >>> shown_host("::1"), shown_host("0.0.0.0")
    ('[::1]', '127.0.0.1')
    """
    named = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{named}]" if ":" in named else named
