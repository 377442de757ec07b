"""Progress bars wait for no other process."""

import signal

from sklearn_bert.encoder.progress import ProgressBar
from tests import needs
from tests.processes import Child


@needs.fork
def test_a_child_that_is_killed_while_it_holds_the_lock_stops_nobody():
    def hold(say):
        ProgressBar.get_lock().acquire()
        say(1)
        signal.pause()

    def make(say):
        with ProgressBar(total=3, disable=True) as bar:
            bar.update()

    # A lock is shared only with what is forked after it was made, which the first bar does.
    make(None)
    child = Child(hold)
    child.hear(1)
    child.kill()
    assert child.end() == (-signal.SIGKILL, [1])
    # In a child too, which is ended if it hangs.
    assert Child(make).end() == (0, [])


def test_no_thread_is_started(capsys):
    with ProgressBar(total=3) as bar:
        bar.update()
        assert ProgressBar.monitor is None or ProgressBar.monitor.tqdm_cls is not ProgressBar
    assert "1/3" in capsys.readouterr().err
