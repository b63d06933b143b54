# make demo              real frames through a real ROS 2 graph into out/demo.mp4 and out/demo.png
# make demo DATA=DIR     the same with the pairs of DIR/infrared and DIR/visible, or with a bag
#                        (INFRARED=TOPIC VISIBLE=TOPIC where it is not plain which of its topics are the cameras)
# make test              all tests, on ROS 2 Kilted; make test-jazzy: the ROS tests on Jazzy; make lint: style and types
# make test-robot        the robot's side on the system's own Python, OpenCV, NumPy and cv_bridge (Debian, Ubuntu)
# make docs-test         every command of README and docs, as it is typed in a clone; PLACE=wheel, or PLACE=workspace where ros2 is
# make docs              the documentation as a site into out/site; make package: wheel and sdist into dist, checked
# Each installs what it needs into a virtual environment in this folder.

PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
SECONDS_OF_DEMO ?= 10
DATA ?=
INFRARED ?=
VISIBLE ?=
PLACE ?= clone

VENV := .venv
JAZZY := .venv-jazzy
ROBOT := .venv-robot
DOCS := .venv-docs
PIP_FLAGS := --quiet --disable-pip-version-check
# Cameras in real time on a machine that others use too: what fails on a live graph is tried again, and the summary says so.
LIVE := --reruns 2
# Two processes, one for each core, of which each takes whole files; the run ends with the first one that crashes.
BOTH_CORES := -n 2 --dist loadfile --max-worker-restart=0
# A live graph leaves the cores idle for a third of the time: discovery, rates, silence. So three share two.
WAITING := -n 3 --dist loadfile --max-worker-restart=0
# Cameras at their rate: a late image is a gap, so two of these run at a time, and nothing else beside them.
TWO_AT_A_TIME := -n 2 --max-worker-restart=0
REAL_TIME := test/ros/test_missing_camera.py
TORCH_TESTS := test/training test/core/backends/test_torch.py
# What OpenCV, NumPy and cv_bridge have a hand in; all others: make test-robot ROBOT_TESTS=test/ros
ROBOT_TESTS := $(patsubst %,test/ros/test_%.py,calibrated_cameras camera_transforms compiled_cv_bridge conversion \
	fusion_node hostile_input listeners pixel_checks) test/core/imaging test/core/thermal test/core/registration \
	test/core/offline/test_bag.py test/core/test_fusion.py
PACKAGING := setup.py setup.cfg pyproject.toml package.xml

.PHONY: demo test test-jazzy test-robot lint docs docs-test package clean

demo: $(VENV)/demo.stamp
	$(VENV)/bin/python -m ivif_ros.tools.demo $(if $(DATA),"$(DATA)") $(if $(INFRARED),--infrared-topic "$(INFRARED)") \
		$(if $(VISIBLE),--visible-topic "$(VISIBLE)") --seconds $(SECONDS_OF_DEMO) --output out

# The core, then the live ROS graph (each test in a ROS domain of its own), then all that needs torch, which no other process
# loads: each on both cores.
test: $(VENV)/test.stamp
	$(VENV)/bin/python -m pytest -p no:rerunfailures $(BOTH_CORES) $(addprefix --ignore=,$(TORCH_TESTS)) --ignore=test/ros --ignore=test/fuzz
	$(VENV)/bin/python -m pytest $(LIVE) $(WAITING) --ignore=$(REAL_TIME) test/ros test/fuzz
	$(VENV)/bin/python -m pytest $(LIVE) $(TWO_AT_A_TIME) $(REAL_TIME)
	$(VENV)/bin/python -m pytest -p no:rerunfailures $(BOTH_CORES) $(TORCH_TESTS)

test-jazzy: $(JAZZY)/test.stamp
	$(JAZZY)/bin/python -m pytest $(LIVE) $(WAITING) --ignore=$(REAL_TIME) test/ros
	$(JAZZY)/bin/python -m pytest $(LIVE) $(TWO_AT_A_TIME) $(REAL_TIME)

test-robot: $(ROBOT)/test.stamp
	$(ROBOT)/bin/python -m pytest $(LIVE) $(ROBOT_TESTS)

docs: $(DOCS)/stamp
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --site-dir out/site  # --quiet would hush what strict ends on

docs-test: $(if $(filter workspace,$(PLACE)),,$(VENV)/test.stamp)
	$(if $(filter workspace,$(PLACE)),python3,$(VENV)/bin/python) -m test.docs_commands --place $(PLACE) $(PAGES)

package: $(DOCS)/stamp
	rm -rf dist
	$(DOCS)/bin/python -m build --outdir dist .
	$(DOCS)/bin/twine check --strict dist/*

lint: $(VENV)/test.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/bin/python $(JAZZY)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.10 to 3.14 is needed; name it: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(@D)/..
	$@ -m pip install $(PIP_FLAGS) --upgrade pip

$(VENV)/demo.stamp: $(PACKAGING) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,video]"
	touch $@

$(VENV)/test.stamp: $(PACKAGING) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,tensorrt-rtx,train,ray,test]"
	touch $@ $(VENV)/demo.stamp

$(JAZZY)/test.stamp: $(PACKAGING) | $(JAZZY)/bin/python
	$(JAZZY)/bin/python -m pip install $(PIP_FLAGS) "ros-rclpy[fastrtps]==7.1.*" "ros-sensor-msgs==5.3.*"
	$(JAZZY)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,test]"
	touch $@

# pip must neither replace apt's NumPy nor bring an OpenCV of its own: so a constraint, and the package without what it needs.
$(ROBOT)/test.stamp: $(PACKAGING)
	@/usr/bin/python3 -c 'import cv2, cv_bridge, numpy, venv, yaml' || { echo "needed from the system (Debian, Ubuntu): \
	apt-get install python3-cv-bridge python3-numpy python3-opencv python3-venv python3-yaml"; exit 1; }
	/usr/bin/python3 -m venv --clear --system-site-packages $(ROBOT)
	$(ROBOT)/bin/python -c 'import numpy; print("numpy==" + numpy.__version__)' > $(ROBOT)/constraints.txt
	$(ROBOT)/bin/python -m pip install $(PIP_FLAGS) -c $(ROBOT)/constraints.txt \
		"ros-rclpy[fastrtps]" ros-sensor-msgs ros-std-msgs ros-diagnostic-msgs ros-lifecycle-msgs \
		onnxruntime rosbags tqdm av hypothesis onnx pytest pytest-rerunfailures pytest-timeout scikit-image scipy
	$(ROBOT)/bin/python -m pip install $(PIP_FLAGS) --no-deps --editable .
	touch $@

$(DOCS)/bin/python:
	$(PYTHON) -m venv $(@D)/..

$(DOCS)/stamp: $(PACKAGING) | $(DOCS)/bin/python
	$(DOCS)/bin/python -m pip install $(PIP_FLAGS) --editable ".[docs]" build twine
	touch $@

clean:
	rm -rf $(VENV) $(JAZZY) $(ROBOT) $(DOCS) build dist out *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
