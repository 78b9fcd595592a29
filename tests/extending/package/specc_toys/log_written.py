"""What writes the log: told of the run, of every epoch once, and of the end."""

from collections.abc import Mapping

from runtime.extending import LoggedRun


class Notebook:
    """Lines of a file."""

    def begin(self, run: LoggedRun) -> str:
        self.file = run.folder.open("a", encoding="utf-8")
        return run.id or run.name

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        print(number, *(f"{name}={value:.4g}" for name, value in figures.items()), file=self.file, flush=True)

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        print(status, file=self.file)
        self.file.close()
