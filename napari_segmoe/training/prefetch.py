"""Samples of a run's steps, drawn when asked for or ahead by other processes."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_segmoe.training.draws import Numbered, SampleDrawer, share_of

_AHEAD = 2  # steps that each process draws ahead

Key = tuple[int, tuple[int, ...]]


class SampleStream:
    """The samples of one process of a run, a step at a time.

    A sample is a function of (seed, epoch, index), so how many processes draw them
    changes nothing but the time.

    Parameters
    ----------
    drawer : SampleDrawer
        Draws them.
    rank, ranks : int
        Which process of the run, of how many.
    workers : int
        Processes that draw ahead; 0: drawn when asked for.
    """

    def __init__(
        self, drawer: SampleDrawer, *, rank: int, ranks: int, workers: int
    ) -> None:
        self.drawer, self.rank, self.ranks = drawer, rank, ranks
        self._keys = _Keys()
        self._loader: DataLoader[Any] | None = None
        if workers:
            self._loader = DataLoader(
                _Drawing(drawer),
                batch_size=None,
                sampler=self._keys,
                num_workers=workers,
                prefetch_factor=_AHEAD,
                persistent_workers=True,
                collate_fn=_as_is,
                generator=torch.Generator(),  # else the global one moves
            )

    def steps(self, epoch: int) -> Iterator[list[Numbered]]:
        """Yield the samples of each step of an epoch, with their indices."""
        order = self.drawer.order(epoch)
        self._keys.keys = [
            (epoch, tuple(share_of(indices, self.rank, self.ranks)))
            for number in range(self.drawer.steps_per_epoch())
            for indices in [self.drawer.indices(order, number)]
        ]
        if self._loader is None:
            yield from (_draw(self.drawer, key) for key in self._keys.keys)
        else:
            yield from self._loader

    def names(self, drawn: Sequence[Numbered]) -> list[str]:
        """Return the names of the samples' images."""
        return [self.drawer.source(index).name for index, _ in drawn]

    def close(self) -> None:
        """End the processes."""
        self._loader = None  # the last reference: its iterator ends them


class _Keys(Sampler[Key]):
    """The keys of an epoch, in the order of its steps."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


class _Drawing(Dataset[list[Numbered]]):
    """Draws by key, in whichever process."""

    def __init__(self, drawer: SampleDrawer) -> None:
        self.drawer = drawer

    def __getitem__(self, key: Key) -> list[Numbered]:
        return _draw(self.drawer, key)


def _draw(drawer: SampleDrawer, key: Key) -> list[Numbered]:
    epoch, indices = key
    return [(index, drawer.draw(epoch, index)) for index in indices]


def _as_is(drawn: list[Numbered]) -> list[Numbered]:
    return drawn
