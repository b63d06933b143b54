# Desktop or server with an NVIDIA GPU: Ubuntu 24.04, Python 3.12, ROS 2 Jazzy, TensorRT 10 or 11 from NVIDIA's index.
#   docker build -f docker/desktop.Dockerfile -t ivif .
#   docker run --gpus all --network host --ipc host -v ivif-engines:/root/.cache/ivif ivif
# TensorRT 11: --build-arg TENSORRT="tensorrt-cu13>=11,<12" --build-arg CUDA_PYTHON="cuda-python>=13,<14"
ARG BASE=ros:jazzy-ros-base
FROM ${BASE}
ARG TENSORRT="tensorrt-cu12>=10.3,<11"
ARG CUDA_PYTHON="cuda-python>=12.6,<13"

# From apt: ROS, cv_bridge, OpenCV. The driver comes from the host through the NVIDIA container toolkit.
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PIP_BREAK_SYSTEM_PACKAGES=1
RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-pip ros-jazzy-message-filters ros-jazzy-cv-bridge python3-colcon-common-extensions \
 && rm -rf /var/lib/apt/lists/*

# From pip, TensorRT from NVIDIA's index; the constraints keep NumPy at 1.
COPY docker/constraints.txt /tmp/constraints.txt
RUN pip3 install --no-cache-dir -c /tmp/constraints.txt --extra-index-url https://pypi.nvidia.com \
      "${TENSORRT}" "${CUDA_PYTHON}" "onnxruntime>=1.16" "rosbags>=0.11" "tqdm>=4.60" "numpy>=1.22" \
 && python3 -c "import numpy, tensorrt; assert numpy.__version__ < '2', numpy.__version__; print(tensorrt.__version__)"

COPY . /ws/src/ivif_ros
WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --packages-select ivif_ros

ENV FASTRTPS_DEFAULT_PROFILES_FILE=/ws/install/ivif_ros/share/ivif_ros/config/fastrtps.xml
CMD ["bash", "-c", "source /ws/install/setup.bash && exec ros2 launch ivif_ros fusion.launch.py backend:=tensorrt"]
