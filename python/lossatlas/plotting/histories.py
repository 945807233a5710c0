"""Histories of training runs."""

import h5py
import numpy as np

from .errors import PlotError
from .hdf5 import HISTORY, File, listing, text, unknown_value

HISTORY_VALUES = ("train_loss", "test_loss", "train_acc", "test_acc")


class HistoryFile(File):
    """What a training run wrote after every epoch, or some steps; row 0 is before training."""

    sort = HISTORY

    def __init__(self, handle, path):
        super().__init__(handle, path)
        if not isinstance(handle.get("epoch"), h5py.Dataset):
            raise PlotError(f"{path} is not a history: it has no epoch (its root holds {listing(handle)})")
        self.epoch = np.atleast_1d(self._array("epoch"))
        self.unit = text(self._group.attrs.get("unit", "epoch")) if self.is_ours else "epoch"  # or "step"
        self.names = [name for name in HISTORY_VALUES
                      if self._is_by_epoch(handle.get(name)) and not self._is_unmeasured(name)]
        if not self.names:
            raise PlotError(
                f"{path} holds no losses or accuracies by epoch (its root holds {listing(handle)})"
            )

    def _is_by_epoch(self, item):
        return (isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu"
                and item.shape == self.epoch.shape)

    def _is_unmeasured(self, name):
        """Of a run without test data; that of a diverged one has the untrained network's."""
        return name.startswith("test_") and bool(np.isnan(self._array(name)).all())

    @property
    def done(self):
        """Epochs, or steps."""
        return len(self.epoch) - 1 if self.unit == "epoch" else int(self.epoch[-1])

    def progress(self):
        """(epochs done, epochs); the latter 0 where it is not known."""
        epochs = self.settings.get("epochs")
        return self.done, epochs if isinstance(epochs, int) else 0

    def values(self, name):
        """[epochs + 1] float64, NaN where there is none."""
        values = self.written(name)
        return np.where(np.isfinite(values), values, np.nan)

    def written(self, name):
        """As values, with infinite ones as they are."""
        if name not in self.names:
            raise PlotError(unknown_value(name, self.names, self.path))
        return self._array(name)
