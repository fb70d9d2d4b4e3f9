"""Runs are processes of their own: started, followed, stopped, killed, found again.

The trainer is a small program here; `tests/widgets/test_train_window.py` starts a real
one.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from napari_segmoe.errors import ConfigError, ProjectError, RunFolderError
from napari_segmoe.session import run_launch
from napari_segmoe.session.run_list import listed_runs, note_run
from napari_segmoe.session.training_run import ERRORS, RunState, TrainingRun, last_words
from napari_segmoe.session.training_runs import RoundRequest
from napari_segmoe.training.run_control import PAUSE, STOP
from napari_segmoe.training.run_process import mark_of, read_mark, write_mark
from tests.session.fakes import make_session

TRAINER = """
import json, os, sys, time
from pathlib import Path
words = sys.argv[1:]
Path(os.environ["WORDS"]).write_text(json.dumps(words))
mode = os.environ.get("MODE", "run")
if mode == "slow":
    time.sleep(60)
if mode == "refuse":
    sys.exit("segmoe: Too few to judge a round: 1 accepted object in 1 place.")
if words[0] == "train":
    folder = Path(words[words.index("--out") + 1])
else:
    folder = Path(words[1]) / "runs" / "round-0001"
    folder.mkdir(parents=True, exist_ok=True)
(folder / "config.yaml").touch()
def tell(**event):
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\\n")
tell(event="start", epoch=0, epochs=100, device="cpu", notes=[])
for epoch in range(100):
    tell(event="epoch", epoch=epoch, train={"loss": 1 / (epoch + 1)})
    if mode == "die" and epoch == 1:
        sys.exit("Traceback\\n  File x\\nsegmoe: The disk is full. Free space.")
    if (folder / "stop").exists():
        tell(event="stopped", epoch=epoch + 1)
        sys.exit()
    if mode == "finish" and epoch == 1:
        tell(event="done", epoch=2)
        sys.exit()
    time.sleep(0.05)
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMOE_STATE", str(tmp_path / "state"))


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """A small program in place of `segmoe`; it ends with the test."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    monkeypatch.setattr(run_launch, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setenv("WORDS", str(tmp_path / "words.json"))
    yield lambda mode: monkeypatch.setenv("MODE", mode)
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if str(script) in child.cmdline():
                child.kill()


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    return tmp_path / "data"


def wait_for(runs, is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, [(run.name, run.state) for run in runs.runs]
        time.sleep(0.02)
        runs.poll()


def words(tmp_path):
    return json.loads((tmp_path / "words.json").read_text())


# ---- runs on data folders ------------------------------------------------------------


def test_a_run_is_a_process_of_its_own_niced_and_of_one_thread(trainer, data, tmp_path):
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run", "epochs": 7})
    assert run.state is RunState.STARTING
    assert runs.selected is run
    process = psutil.Process(run.mark.pid)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.nice() == 10
    assert process.environ()["OMP_NUM_THREADS"] == "1"
    wait_for(runs, lambda: run.history.epoch > 2)
    assert run.state is RunState.RUNNING
    assert words(tmp_path)[:2] == ["train", "--json"]
    assert {"epochs=7", "threads=1"} <= set(words(tmp_path))


def test_a_finished_run_is_said_and_reaped(trainer, data, tmp_path):
    trainer("finish")
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(runs, lambda: run.state is RunState.DONE)
    assert session.notes[-1] == "run is done."
    assert run.history.train_loss == [(1, 1.0), (2, 0.5)]
    assert not run.can_resume
    wait_for(runs, lambda: not psutil.pid_exists(run.mark.pid))


def test_without_a_folder_a_run_gets_one_of_the_users_own(trainer, data, tmp_path):
    runs = make_session().training_runs
    one = runs.start_recipe({"data": data})
    other = runs.start_recipe({"data": data})
    assert one.folder.parent == tmp_path / "state" / "runs"
    assert one.name.startswith("data-20")
    assert one.folder != other.folder


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({"data": "nowhere"}, RunFolderError, "nowhere is no folder"),
        ({"epochs": 0}, ConfigError, "epochs"),
        ({"colour": "red"}, ConfigError, "colour"),
    ],
)
def test_what_cannot_be_run_is_refused_before_a_process_starts(
    trainer, data, tmp_path, values, error, sentence
):
    runs = make_session().training_runs
    with pytest.raises(error, match=sentence):
        runs.start_recipe({"data": data, "out": tmp_path / "run", **values})
    assert runs.runs == ()
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_never_started_over(trainer, data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    runs = make_session().training_runs
    with pytest.raises(RunFolderError, match="holds a run already"):
        runs.start_recipe({"data": data, "out": tmp_path / "run"})


def test_a_run_stops_after_its_epoch_and_goes_on(trainer, data, tmp_path):
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(runs, lambda: run.state is RunState.RUNNING)
    runs.stop_after_epoch(run)
    wait_for(runs, lambda: run.state is RunState.STOPPED)
    assert "It can go on" in session.notes[-1]
    assert run.can_resume
    first = run.mark
    runs.resume(run)
    assert not (run.folder / STOP).exists()
    assert run.state is RunState.STARTING
    wait_for(runs, lambda: run.state is RunState.RUNNING)
    assert "--resume" in words(tmp_path)
    assert run.mark != first
    with pytest.raises(RunFolderError, match="cannot go on: it is running"):
        runs.resume(run)


def test_a_killed_run_is_called_killed_by_every_window(trainer, data, tmp_path):
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(runs, lambda: run.state is RunState.RUNNING)
    runs.kill(run)
    wait_for(runs, lambda: run.state is RunState.KILLED)
    other = make_session().training_runs
    other.look_around()
    assert [one.state for one in other.runs] == [RunState.KILLED]
    runs.kill(run)
    assert "had ended already" in session.notes[-1]


def test_a_trainer_that_dies_is_noticed_and_its_last_sentence_told(
    trainer, data, tmp_path
):
    trainer("die")
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(runs, lambda: run.state is RunState.DIED)
    assert run.reason == "The disk is full. Free space."
    assert "run: The disk is full" in str(session.failures[-1])
    assert "Resume it in the Train tab." in str(session.failures[-1])


def test_a_trainer_ended_from_outside_says_nothing_so_we_do(trainer, data, tmp_path):
    session = make_session()
    runs = session.training_runs
    run = runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(runs, lambda: run.state is RunState.RUNNING)
    psutil.Process(run.mark.pid).kill()
    wait_for(runs, lambda: run.state is RunState.DIED)
    assert "ended without a word" in run.reason


def test_a_run_that_somebody_else_resumes_is_followed_again(trainer, data, tmp_path):
    mine = make_session().training_runs
    run = mine.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(mine, lambda: run.state is RunState.RUNNING)
    mine.kill(run)
    wait_for(mine, lambda: run.state is RunState.KILLED)
    others = make_session().training_runs
    others.look_around()
    others.resume(others.runs[0])
    wait_for(mine, lambda: run.state is RunState.RUNNING)
    mine.kill(run)
    wait_for(others, lambda: others.runs[0].state is RunState.KILLED)


def test_runs_are_found_again_by_the_next_window(trainer, data, tmp_path):
    first = make_session()
    run = first.training_runs.start_recipe({"data": data, "out": tmp_path / "run"})
    wait_for(first.training_runs, lambda: run.history.epoch > 1)
    first.close()
    runs = make_session().training_runs
    runs.look_around()
    (found,) = runs.runs
    assert found.state is RunState.RUNNING
    assert found.mark == run.mark
    assert found.history.train_loss[0] == (1, 1.0)
    runs.kill(found)
    wait_for(runs, lambda: found.state is RunState.KILLED)
    runs.forget(found)
    assert runs.runs == ()
    assert (tmp_path / "run").is_dir()


def test_work_in_the_window_lets_trainers_wait(trainer, data, tmp_path):
    session = make_session()
    run = session.training_runs.start_recipe({"data": data, "out": tmp_path / "run"})
    pause = run.folder / PAUSE
    assert not pause.exists()
    session.prompting.add_click(12, 12)
    assert time.time() - pause.stat().st_mtime < 2


def test_a_strangers_process_is_never_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as it:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "events.jsonl").write_text('{"event": "start", "epochs": 3}\n')
        write_mark(folder, replace(mark_of(it.pid), started=1.0))
        note_run(folder)
        session = make_session()
        session.training_runs.look_around()
        (run,) = session.training_runs.runs
        assert run.state is RunState.DIED
        session.training_runs.kill(run)
        assert it.poll() is None
        it.kill()


def test_a_run_of_another_computer_is_not_called_dead(tmp_path):
    (tmp_path / "run").mkdir()
    elsewhere = replace(mark_of(os.getpid()), machine="another")
    write_mark(tmp_path / "run", elsewhere)
    run = TrainingRun(tmp_path / "run")
    run.look()
    assert run.state is RunState.ELSEWHERE
    assert not run.can_resume


def test_folders_that_are_gone_are_not_listed(tmp_path):
    note_run(tmp_path / "gone")
    runs = make_session().training_runs
    runs.look_around()
    assert runs.runs == ()
    assert listed_runs() == (tmp_path / "gone",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Epoch 1\nsegmoe: No room. Free some.\n", "No room. Free some."),
        ("  File x\nRuntimeError: odd\n", "RuntimeError: odd"),
        ("Traceback\n  File\ntorch.OutOfMemoryError: big\n\n", "torch.OutOf"),
        ("WARNING: something\n", "ended without a word"),
        ("", "ended without a word"),
    ],
)
def test_the_last_words_are_found_in_the_log(tmp_path, text, sentence):
    (tmp_path / ERRORS).write_text(text)
    assert last_words(tmp_path / ERRORS).startswith(sentence) or (
        sentence in last_words(tmp_path / ERRORS)
    )


# ---- learning rounds -----------------------------------------------------------------


@pytest.fixture
def session(tmp_path):
    made = make_session()
    made.project.create(tmp_path / "study.segmoe")
    yield made
    made.close()


def test_a_round_is_adopted_when_it_has_made_its_folder(trainer, session, tmp_path):
    runs = session.training_runs
    request = RoundRequest(weights="glands", minutes=2, preset="quick")
    starting = runs.start_round(request)
    assert starting.state is RunState.STARTING
    with pytest.raises(ProjectError, match="learning from this project already"):
        runs.start_round()
    wait_for(runs, lambda: runs.selected is not starting)
    run = runs.selected
    assert run.name == "round-0001"
    assert run.is_round
    assert read_mark(run.folder) == starting.mark
    assert [path.name for path in run.folder.parent.iterdir()] == ["round-0001"]
    assert (run.folder / ERRORS).is_file()
    said = words(tmp_path)
    assert said[:2] == ["finetune", str(tmp_path / "study.segmoe")]
    assert said[said.index("--weights") + 1] == "glands"
    assert said[said.index("--minutes") + 1] == "2"
    assert said[said.index("--preset") + 1] == "quick"
    assert listed_runs() == ()  # the project knows its own
    runs.kill(run)
    wait_for(runs, lambda: run.state is RunState.KILLED)
    assert run.can_resume
    runs.resume(run)
    wait_for(runs, lambda: run.state is RunState.RUNNING)
    assert words(tmp_path)[-1] == "--resume"


def test_a_round_that_is_refused_says_why_and_leaves_nothing(trainer, session):
    trainer("refuse")
    runs = session.training_runs
    runs.start_round()
    wait_for(runs, lambda: session.failures)
    assert "Too few to judge a round" in str(session.failures[0])
    assert runs.runs == ()
    assert list((session.project.path / "runs").iterdir()) == []


def test_a_round_that_is_killed_before_it_began_is_no_error(trainer, session):
    trainer("slow")
    runs = session.training_runs
    run = runs.start_round()
    runs.kill(run)
    wait_for(runs, lambda: not runs.runs)
    assert session.notes[-1] == "The round was ended before it began."
    assert session.failures == []


def test_only_the_newest_round_can_go_on(session):
    for name in ("round-0001", "round-0002"):
        folder = session.project.path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").touch()
        (folder / "events.jsonl").write_text('{"event": "stopped", "epoch": 1}\n')
    runs = session.training_runs
    runs.look_around()
    assert [(one.name, one.can_resume) for one in runs.runs] == [
        ("round-0002", True),
        ("round-0001", False),
    ]


def test_a_round_needs_a_project():
    with pytest.raises(ProjectError, match="No project is open"):
        make_session().training_runs.start_round()
