# Jetson with JetPack 6.1 or 6.2: Ubuntu 22.04, Python 3.10, CUDA 12.6, TensorRT 10.3, ROS 2 Humble.
#   docker build -f docker/jetson.Dockerfile -t ivif .
#   docker run --runtime nvidia --network host --ipc host -v ivif-engines:/root/.cache/ivif ivif
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM ${BASE}

# From NVIDIA's base image: CUDA, TensorRT and its Python module.
# From ROS's apt: rclpy, messages, cv_bridge.
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
RUN apt-get update && apt-get install -y --no-install-recommends curl ca-certificates python3-pip \
 && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
      -o /usr/share/keyrings/ros-archive-keyring.gpg \
 && echo "deb [arch=$(dpkg --print-architecture) signed-by=/usr/share/keyrings/ros-archive-keyring.gpg] \
      http://packages.ros.org/ros2/ubuntu jammy main" > /etc/apt/sources.list.d/ros2.list \
 && apt-get update && apt-get install -y --no-install-recommends \
      ros-humble-ros-base ros-humble-message-filters ros-humble-cv-bridge python3-colcon-common-extensions \
 && rm -rf /var/lib/apt/lists/*

# From pip: what neither of them has; the constraints keep NumPy at 1.
COPY docker/constraints.txt /tmp/constraints.txt
RUN pip3 install --no-cache-dir -c /tmp/constraints.txt \
      "onnxruntime>=1.16" "rosbags>=0.11" "cuda-python==12.6.*" "tqdm>=4.60" "numpy>=1.22" \
 && python3 -c "import numpy, tensorrt; assert numpy.__version__ < '2', numpy.__version__; print(tensorrt.__version__)"

COPY . /ws/src/ivif_ros
WORKDIR /ws
RUN . /opt/ros/humble/setup.sh && colcon build --packages-select ivif_ros

ENV FASTRTPS_DEFAULT_PROFILES_FILE=/ws/install/ivif_ros/share/ivif_ros/config/fastrtps.xml
CMD ["bash", "-c", "source /ws/install/setup.bash && exec ros2 launch ivif_ros fusion.launch.py backend:=tensorrt"]
