# make demo              real frames through a real ROS 2 graph into out/demo.mp4 and out/demo.png
# make demo DATA=DIR     the same with the pairs of DIR/infrared and DIR/visible, or with a bag
# make test              all tests, on ROS 2 Kilted; make test-jazzy: the ROS tests on Jazzy; make lint: style
# Each installs what it needs into a virtual environment in this folder.

PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$p && break; done)
SECONDS_OF_DEMO ?= 10
DATA ?=

VENV := .venv
JAZZY := .venv-jazzy
PIP_FLAGS := --quiet --disable-pip-version-check
TORCH_TESTS := test/training test/core/backends/test_torch.py
PACKAGING := setup.py setup.cfg pyproject.toml package.xml

.PHONY: demo test test-jazzy lint clean

demo: $(VENV)/demo.stamp
	$(VENV)/bin/python -m ivif_ros.tools.demo $(if $(DATA),"$(DATA)") --seconds $(SECONDS_OF_DEMO) --output out

# In two processes: the robot's side in one that never loads torch, then all that needs torch.
test: $(VENV)/test.stamp
	$(VENV)/bin/python -m pytest $(addprefix --ignore=,$(TORCH_TESTS))
	$(VENV)/bin/python -m pytest $(TORCH_TESTS)

test-jazzy: $(JAZZY)/test.stamp
	$(JAZZY)/bin/python -m pytest test/ros

lint: $(VENV)/test.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

$(VENV)/bin/python $(JAZZY)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.10 to 3.14 is needed; name it: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(@D)/..
	$@ -m pip install $(PIP_FLAGS) --upgrade pip

$(VENV)/demo.stamp: $(PACKAGING) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,video]"
	touch $@

$(VENV)/test.stamp: $(PACKAGING) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,train,report,ray,test]"
	touch $@ $(VENV)/demo.stamp

$(JAZZY)/test.stamp: $(PACKAGING) | $(JAZZY)/bin/python
	$(JAZZY)/bin/python -m pip install $(PIP_FLAGS) "ros-rclpy[fastrtps]==7.1.*" "ros-sensor-msgs==5.3.*"
	$(JAZZY)/bin/python -m pip install $(PIP_FLAGS) --editable ".[ros,openvino,test]"
	touch $@

clean:
	rm -rf $(VENV) $(JAZZY) build out *.egg-info .pytest_cache .hypothesis .ruff_cache
