"""From the body of a request to records that fit their schema; knows nothing of HTTP."""

from tidegauge.ingest.checked import Checked, RecordError
from tidegauge.ingest.first_records import schema_of_records
from tidegauge.ingest.formats import (
    UnsupportedMediaType,
    format_of,
    formats,
    gives_rows,
    parse,
)
from tidegauge.ingest.parsed import CorruptLine, Format, Parsed
from tidegauge.ingest.validate import check_labels, check_records, label_column

__all__ = [
    "Checked",
    "CorruptLine",
    "Format",
    "Parsed",
    "RecordError",
    "UnsupportedMediaType",
    "check_labels",
    "check_records",
    "format_of",
    "formats",
    "gives_rows",
    "label_column",
    "parse",
    "schema_of_records",
]
