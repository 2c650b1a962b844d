"""The baseline: the frozen profile, with its bins and its own windows, that others are held to."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import pyarrow as pa

from tidegauge.errors import UnreadableSource
from tidegauge.profile.codec import profile_from_bytes, profile_to_bytes
from tidegauge.profile.layout import Layout
from tidegauge.profile.profile import Profile


@dataclass(frozen=True, eq=False)
class Baseline:
    """A frozen profile that others are compared with.

    Parameters
    ----------
    profile : Profile
        By window, where the baseline has timestamps; its layout carries the baseline's id.
    created_at : datetime
        Aware, UTC.
    """

    profile: Profile
    created_at: datetime

    @property
    def id(self) -> str:
        """The id that profiles of this baseline carry."""
        return self.profile.layout.baseline_id

    @property
    def layout(self) -> Layout:
        """Bins and segments."""
        return self.profile.layout

    @cached_property
    def total(self) -> Profile:
        """All windows merged into one."""
        return self.profile.total()

    def to_bytes(self) -> bytes:
        """Return the baseline as one Arrow IPC stream: layout, profile and sample."""
        sample = b""
        if self.profile.sample is not None:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, self.profile.sample.schema) as writer:
                writer.write_table(self.profile.sample)
            sample = sink.getvalue().to_pybytes()
        table = pa.table(
            {
                "part": ["about", "layout", "profile", "sample"],
                "body": pa.array(
                    [
                        json.dumps({"created_at": self.created_at.isoformat()}).encode(),
                        self.layout.dumps().encode(),
                        profile_to_bytes(self.profile),
                        sample,
                    ],
                    pa.large_binary(),
                ),
            }
        )
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Baseline:
        """Return the baseline that ``to_bytes`` wrote.

        Raises
        ------
        UnreadableSource
            If the bytes are not a baseline.
        """
        try:
            table = pa.ipc.open_stream(data).read_all()
            parts = dict(zip(table["part"].to_pylist(), table["body"].to_pylist(), strict=True))
            about = json.loads(parts["about"])
            layout = Layout.loads(parts["layout"].decode())
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise UnreadableSource(f"this is no stored baseline: {error}") from error
        profile = profile_from_bytes(parts["profile"], layout)
        if parts["sample"]:
            profile = replace(profile, sample=pa.ipc.open_stream(parts["sample"]).read_all())
        return cls(profile, datetime.fromisoformat(about["created_at"]))
