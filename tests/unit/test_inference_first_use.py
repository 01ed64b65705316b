"""First use of OpenVINO by two threads at once, in a new process."""

import subprocess
import sys

SCRIPT = """
import os, sys, threading
from cryopick.inference.openvino_engine import _import_openvino

sys.setswitchinterval(1e-6)
data_type, barrier = _import_openvino().Type.f32, threading.Barrier(2)


def use():
    barrier.wait()
    data_type.to_dtype()


threads = [threading.Thread(target=use) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_two_threads_that_use_openvino_first_do_not_wait_for_each_other():
    for _ in range(4):  # most processes would never end without the precaution
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
