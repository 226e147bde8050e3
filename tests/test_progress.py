from msgspec import structs

from lenette import progress
from lenette.progress import Progress

LAST = Progress(
    epoch=3,
    step=1407,
    lr=0.01,
    train_loss_running=0.0432,
    train_accuracy_running=0.98765,
    train_seconds=12.34,
    evaluate_seconds=1.0,
    test_loss=0.0301,
    test_accuracy=0.9912,
    epochs=15,
    num_steps=7035,
    finished=True,
)
LINE = "epoch  3/15  lr 0.01       train  98.77% loss 0.0432 (running)  test  99.12% loss 0.0301    12.3 s"


def test_an_epoch_is_a_line():
    assert progress.line(LAST, 15) == LINE


def test_a_note_comes_first():
    assert progress.line(LAST, 15, "NOT MNIST") == f"*** NOT MNIST ***  {LINE}"


def test_a_loss_that_is_not_finite_is_said():
    assert "loss not finite" in progress.line(structs.replace(LAST, test_loss=None), 15)


def test_prints_finished_epochs_alone(capsys):
    progress.print_lines(structs.replace(LAST, finished=False))
    assert capsys.readouterr().out == ""
    progress.print_lines(structs.replace(LAST, note="NOT MNIST"))
    assert capsys.readouterr().out == f"*** NOT MNIST ***  {LINE}\n"
