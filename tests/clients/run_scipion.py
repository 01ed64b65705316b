"""Run the unmodified protocols of Scipion's Topaz plugin without its window.

Run it with the Python of an environment that holds scipion-pyworkflow, scipion-em and the plugins
for Topaz, RELION and EMAN2:

    python run_scipion.py WORK BIN MICROGRAPHS STAR BOXES

WORK is an empty folder, BIN holds the script `topaz`, MICROGRAPHS is a pattern, STAR and BOXES are
coordinates to import. What the protocols have made is printed as JSON on the last line.
"""

import json
import os
import sys
from pathlib import Path

PIXEL_ANG, BOX_PX = 10.0, 16
HOSTS = """\
[localhost]
PARALLEL_COMMAND = mpirun -np %_(JOB_NODES)d %_(COMMAND)s
NAME = none
MANDATORY = 0
SUBMIT_COMMAND = bash
CANCEL_COMMAND = kill
CHECK_COMMAND = ps
"""


def open_project(work, binaries):
    """Set up Scipion in a folder, and return a new project."""
    home = work / "home"
    for folder in (home / "config", home / "data" / "projects", home / "tmp", work / "project"):
        folder.mkdir(parents=True)
    (home / "config" / "hosts.conf").write_text(HOSTS)
    os.environ |= {
        "SCIPION_HOME": str(home),
        "SCIPION_USER_DATA": str(home / "data"),
        "SCIPION_TMP": str(home / "tmp"),
        "SCIPION_DOMAIN": "pwem",
        "CONDA_ACTIVATION_CMD": "",
        "TOPAZ_ENV_ACTIVATION": f"export PATH={binaries}:$PATH",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    import pyworkflow
    from pyworkflow.project import Manager

    pyworkflow.Config.setDomain("pwem")
    project = Manager().createProject("clients", location=str(work / "project"))
    os.chdir(project.path)
    return project


def launch(project, protocol_class, inputs=None, **parameters):
    """Run a protocol to its end; its failure ends this program."""
    protocol = project.newProtocol(protocol_class, **parameters)
    for name, value in (inputs or {}).items():
        getattr(protocol, name).set(value)
    project.launchProtocol(protocol, wait=True)
    if not protocol.isFinished():
        logs = [Path(path).read_text() for path in protocol.getLogPaths()[:2]]
        sys.exit(f"{protocol_class.__name__}: {protocol.getErrorMessage()}\n{''.join(logs)}")
    return protocol


def list_coordinates(coordinates):
    """List the coordinates of a set as rows of micrograph, x and y."""
    micrographs = {m.getObjId(): m.getFileName() for m in coordinates.getMicrographs()}
    return [
        [Path(micrographs[c.getMicId()]).stem, c.getX(), c.getY()]
        for c in coordinates.iterCoordinates()
    ]


def main():
    """Import micrographs and coordinates, pick with the general model, then denoise and train."""
    work, binaries = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    micrographs, star, boxes = (str(Path(word).absolute()) for word in sys.argv[3:6])
    project = open_project(work, binaries)
    from pwem.protocols import ProtImportCoordinates, ProtImportMicrographs
    from topaz.protocols import TopazProtPicking, TopazProtTraining

    microscope = {"samplingRate": PIXEL_ANG, "voltage": 300, "sphericalAberration": 2.7}
    images = launch(
        project, ProtImportMicrographs, filesPath=micrographs, magnification=50000, **microscope
    ).outputMicrographs
    made = {}
    for name, kind, path in (
        ("star", ProtImportCoordinates.IMPORT_FROM_RELION, star),
        ("box", ProtImportCoordinates.IMPORT_FROM_EMAN, boxes),
    ):
        imported = launch(
            project,
            ProtImportCoordinates,
            {"inputMicrographs": images},
            importFrom=kind,
            filesPath=path,
            boxSize=BOX_PX,
        )
        made[name] = list_coordinates(imported.outputCoordinates)
    general = launch(
        project,
        TopazProtPicking,
        {"inputMicrographs": images},
        modelInitialization=TopazProtPicking.ADD_MODEL_GENERAL,
        radius=6,
        scale=1,
    )
    made["general"] = list_coordinates(general.outputCoordinates)
    training = launch(
        project,
        TopazProtTraining,
        {"inputMicrographs": images, "inputCoordinates": imported.outputCoordinates},
        radius=2,
        scale=1,
        numEpochs=2,
        numPartPerImg=12,
        micsForTraining=2,
        kfold=2,
        trainExtra="--epoch-size 33 --units 4",
        doDenoise=True,
    )
    trained = launch(
        project,
        TopazProtPicking,
        {"inputMicrographs": images, "prevTopazModel": training.outputModel},
        radius=6,
        scale=1,
        doDenoise=True,
    )
    made["trained"] = list_coordinates(trained.outputCoordinates)
    print(json.dumps(made))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
