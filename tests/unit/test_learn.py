"""The former module of models still names the general model."""

from cryopick import learn
from cryopick.model import model_file


def test_the_former_module_names_the_general_model():
    assert learn.GENERAL_MODEL == model_file.GENERAL_MODEL
    assert learn.GENERAL_MODEL.is_file()
