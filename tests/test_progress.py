from lenette import progress

RECORD = {
    "epoch": 3,
    "epochs": 15,
    "lr": 0.01,
    "train_accuracy_running": 0.98765,
    "train_loss_running": 0.0432,
    "test_accuracy": 0.9912,
    "test_loss": 0.0301,
    "train_seconds": 12.34,
    "finished": True,
}


def test_an_epoch_is_a_line():
    line = progress.line(RECORD)
    assert line == (
        "epoch  3/15  lr 0.01       train  98.77% loss 0.0432 (running)  test  99.12% loss 0.0301    12.3 s"
    )


def test_a_note_comes_first():
    assert progress.line({**RECORD, "note": "NOT MNIST"}).startswith("*** NOT MNIST ***  epoch")


def test_prints_finished_epochs_alone(capsys):
    progress.print_lines({**RECORD, "finished": False})
    assert capsys.readouterr().out == ""
    progress.print_lines(RECORD)
    assert capsys.readouterr().out == progress.line(RECORD) + "\n"
