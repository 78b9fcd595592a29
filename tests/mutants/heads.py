"""Mistakes in heads."""

from __future__ import annotations

from .mutant import mutant

MUTANTS = [
    mutant("specc/learning/heads/base.py", "index / (count - 1)", "index / count", "a ramp does not reach its end",
           "test_compile.py::test_weights_of_a_ramp_and_of_a_level"),
    mutant("specc/learning/heads/pointwise.py", "sized(-(-side // 4) for side in sides)", "sized(-(-sides[0] // 4) for _ in sides)", "a pool looks at the height alone",
           "test_oblong_maps.py::test_a_pool_to_a_quarter_quarters_height_and_width"),
    mutant("specc/learning/heads/pointwise.py", "Linear(4 * width, bias=False)", "Linear(width, bias=False)", "hidden layers are too narrow",
           "test_single_rules.py::test_the_hidden_layers_of_pointwise_are_four_times_as_wide"),
    mutant("specc/learning/heads/base.py", "return ToMap(places.size, places.skip)", "return ToMap(places.size)", "a class token is part of the image",
           "test_families.py::test_a_decoder_lays_tokens_out_as_a_map"),
    mutant("specc/learning/heads/classifier.py", "[self.hidden] * (linears - 1)", "[self.hidden] * linears", "a linear layer too many",
           "test_single_rules.py::test_a_classifier_has_as_many_layers_as_it_says"),
    mutant("specc/learning/heads/classifier.py", "stride=2 if i == 0 and out > width else 1", "stride=2 if out > width else 1",
           "every convolution halves the map", "test_single_rules.py::test_a_classifier_has_as_many_layers_as_it_says"),
    mutant("specc/learning/heads/answers.py", "        b.add(Resize((context.image[1], context.image[2])))", "        b.add(Resize(context.image[1]))", "logits of an oblong image are square",
           "test_segmentation.py::test_a_classifier_answers_for_every_pixel"),
    mutant("specc/learning/heads/classifier.py", "half = -(-b.shape[0] // 2)", "half = b.shape[0]", "a pixel's convolutions keep the width",
           "test_segmentation.py::test_the_convolutions_of_a_pixel_have_half_the_width"),
    mutant("specc/step/heads.py", "if LOSSES[self.head.loss].in_pixels:", 'if self.head.target == "images":', "a patch is compared with the whole mask",
           "test_segmentation.py::test_a_patch_is_compared_with_its_part_of_the_mask"),
    mutant("specc/graph/families/unet.py", "b.add(Concat(), None, (beside, b.last))", "b.add(Concat(), None, (b.last, beside))", "what comes from below stands in front",
           "test_unet.py::test_the_numbers_are_those_of_a_plain_one"),
]  # fmt: skip
