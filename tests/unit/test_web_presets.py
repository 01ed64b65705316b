"""The durations of a training on the page are those of fine-tuning the general model."""

from cryopick.train.initialization import choose_tuning_step_count
from cryopick.web.jobs.commands import PRESETS, preset_steps


def test_the_standard_duration_is_stated_and_lies_between_the_quick_and_the_long_one():
    fewest, most = choose_tuning_step_count(1), choose_tuning_step_count(10**6)

    assert f"{fewest} to {most} steps" in PRESETS["usual"][0]
    assert preset_steps("quick") < fewest
    assert preset_steps("long") > most
    for preset in ("quick", "long"):
        assert f"{preset_steps(preset)} steps" in PRESETS[preset][0]
