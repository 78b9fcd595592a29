"""Mistakes in data."""

from __future__ import annotations

from .mutant import mutant

MUTANTS = [
    mutant("runtime/data/arrays.py", "draws.below(2 * self.pad + 1,", "draws.below(2 * self.pad,", "the last shift never comes",
           "test_data.py::test_augmentation_equals_a_naive_loop"),
    mutant("runtime/data/arrays.py", "images[chosen, :, :, ::-1]", "images[chosen, :, ::-1]", "images stand on their heads",
           "test_data.py::test_augmentation_equals_a_naive_loop"),
    mutant("runtime/data/draws.py", "(indices.astype(np.uint64) + np.uint64(1))", "indices.astype(np.uint64)", "draws change",
           "test_data.py::test_draws_never_change"),
    mutant("runtime/data/draws.py", 'f"{self.seed}/{self.epoch}/{stream}"', 'f"{self.seed}/{stream}"', "all epochs are alike",
           "test_data.py::test_seed_and_epoch_change_order_and_augmentation"),
    mutant("runtime/data/draws.py", 'f"{self.seed}/{self.epoch}/{stream}"', 'f"{self.seed}/{self.epoch}"', "all streams are one",
           "test_data.py::test_draws_are_uniform_and_streams_independent"),
    mutant("runtime/data/loader.py", "return full if self.train and full else full + bool(rest)", "return full + bool(rest)",
           "training takes the incomplete batch", "test_data.py::test_train_drops_the_incomplete_batch_and_test_keeps_it"),
    mutant("runtime/data/loader.py", "sub_(self._mean).div_(self._std)", "div_(self._std).sub_(self._mean)",
           "images are scaled before they are centred", "test_data.py::test_evaluation_is_in_order_and_normalised_as_torchvision_does"),
    mutant("runtime/data/loader.py", "batches = self._indices(draws)[start_step:]", "batches = self._indices(draws)", "a resumed epoch starts anew",
           "test_data.py::test_an_epoch_started_late_is_bit_identical"),
    mutant("runtime/data/arrays.py", "columns[chosen] = columns[chosen, ::-1]", "rows[chosen] = rows[chosen, ::-1]",
           "a device stands images on their heads", "test_crossing.py::test_a_device_crops_and_mirrors_as_the_host_does"),
    mutant("runtime/data/arrays.py", "np.where(at >= length, -1, at)", "np.minimum(at, length - 1)", "a device pads with the edge",
           "test_crossing.py::test_a_device_crops_and_mirrors_as_the_host_does"),
    mutant("runtime/data/crossing.py", "self._marks.popleft().synchronize()", "self._marks.popleft()", "a host is ahead without end",
           "test_crossing.py::test_a_host_is_ahead_by_so_many_batches_and_no_more"),
    mutant("runtime/data/splits.py", "merged[order[len(train) :]]", "merged[order[: len(test)]]",
           "the test set is trained on", "test_data.py::test_resplit_keeps_every_image_and_both_sizes"),
]  # fmt: skip
