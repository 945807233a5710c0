# Finds LibTorch and makes the imported target LossatlasTorch::torch.
#
# The wheel's own find_package(Torch) fails where no CUDA toolkit is installed, because the wheel is a
# CUDA build; naming its folders and libraries builds and runs everywhere. Looked for, in this order:
#   LOSSATLAS_TORCH   a LibTorch folder, or site-packages/torch (CMake or environment variable)
#   the active Python environment, then .venv beside this project
# A wheel (pyproject.toml) is built against the torch that it then requires, which wheel_torch.py names.
#
# libtorch_cuda.so is not linked: loading it takes 350 MB of memory and as long again as everything else.
# `--device cuda` loads it when asked (src/evaluation/device.cpp).

set(LOSSATLAS_TORCH "$ENV{LOSSATLAS_TORCH}" CACHE PATH "LibTorch folder, or site-packages/torch of a Python environment")

function(_lossatlas_torch_of_python python result)
  execute_process(
    COMMAND "${python}" -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0)
    set(${result} "${folder}" PARENT_SCOPE)
  endif()
endfunction()

set(_torch_root "${LOSSATLAS_TORCH}")
if(SKBUILD)
  execute_process(COMMAND "${PYTHON_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/wheel_torch.py" OUTPUT_VARIABLE _torch)
  string(REGEX REPLACE "\n.*" "" _torch_root "${_torch}")
  string(REGEX REPLACE ".*\n" "" LossatlasTorch_PACKAGE_VERSION "${_torch}")
elseif(NOT _torch_root)
  foreach(_prefix "$ENV{VIRTUAL_ENV}" "$ENV{CONDA_PREFIX}" "${PROJECT_SOURCE_DIR}/.venv")
    if(NOT _torch_root AND _prefix AND EXISTS "${_prefix}/bin/python")
      _lossatlas_torch_of_python("${_prefix}/bin/python" _torch_root)
    endif()
  endforeach()
endif()

find_path(LossatlasTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
  PATHS "${_torch_root}/include" NO_DEFAULT_PATH NO_CACHE)
foreach(_library torch_cpu c10)
  find_library(LossatlasTorch_${_library} ${_library} PATHS "${_torch_root}/lib" NO_DEFAULT_PATH NO_CACHE)
endforeach()

if(EXISTS "${LossatlasTorch_INCLUDE_DIR}/torch/headeronly/version.h")
  set(_version_header "${LossatlasTorch_INCLUDE_DIR}/torch/headeronly/version.h")
else()
  set(_version_header "${LossatlasTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h")
endif()
if(EXISTS "${_version_header}")
  file(STRINGS "${_version_header}" _version REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9]+([0-9]+)" "\\1." LossatlasTorch_VERSION "${_version}")
  string(REGEX REPLACE "[;]|\\.$" "" LossatlasTorch_VERSION "${LossatlasTorch_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LossatlasTorch
  REQUIRED_VARS LossatlasTorch_torch_cpu LossatlasTorch_c10 LossatlasTorch_INCLUDE_DIR
  VERSION_VAR LossatlasTorch_VERSION
  REASON_FAILURE_MESSAGE "run tools/setup, or set LOSSATLAS_TORCH to a LibTorch folder (2.11 or later)")

if(LossatlasTorch_FOUND AND NOT TARGET LossatlasTorch::torch)
  add_library(LossatlasTorch::torch INTERFACE IMPORTED)
  target_include_directories(LossatlasTorch::torch SYSTEM INTERFACE
    "${LossatlasTorch_INCLUDE_DIR}" "${LossatlasTorch_INCLUDE_DIR}/torch/csrc/api/include")
  target_link_libraries(LossatlasTorch::torch INTERFACE "${LossatlasTorch_torch_cpu}" "${LossatlasTorch_c10}")
  if(NOT SKBUILD)  # cmake/Wheel.cmake has the wheel's
    target_link_options(LossatlasTorch::torch INTERFACE "-Wl,-rpath,${_torch_root}/lib")
  endif()
  target_compile_definitions(LossatlasTorch::torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
endif()
