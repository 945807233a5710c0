# lossatlas_room(NAME FOLDER f USES … [PRIVATE_USES …] [TORCH] [OWN_FLAGS])
#
# A static library lossatlas_NAME of every .cpp in the folder. USES names other rooms (by their short name) or
# imported targets. A room sees its own headers and those of the rooms that it names here, no others: not even those
# that these rooms use themselves. TORCH: the room sees LibTorch. OWN_FLAGS: its files are compiled with flags of
# their own, so that they can share no precompiled header.

add_library(lossatlas_options INTERFACE)
target_compile_options(lossatlas_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  $<$<BOOL:${LOSSATLAS_WERROR}>:-Werror>
  # Where several files are compiled as one (CMAKE_UNITY_BUILD), g++ takes them for headers and warns of what it would
  # not in each alone.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-subobject-linkage>
  # The same arithmetic on every processor: no fused multiply-add but where a kernel writes one.
  -ffp-contract=off
  $<$<BOOL:${LOSSATLAS_SANITIZE}>:-fsanitize=address,undefined>
  $<$<BOOL:${LOSSATLAS_SANITIZE}>:-fno-sanitize-recover=undefined>
  $<$<BOOL:${LOSSATLAS_SANITIZE}>:-fno-omit-frame-pointer>
  # At -O1, and under the sanitizers, g++ sees uses of what was not set in its own library and in LibTorch.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:RelWithDebInfo>>:-Wno-maybe-uninitialized>
  $<$<BOOL:${LOSSATLAS_FUZZ}>:-fsanitize=fuzzer-no-link>)
target_link_options(lossatlas_options INTERFACE
  $<$<BOOL:${LOSSATLAS_SANITIZE}>:-fsanitize=address,undefined>)

# OpenMP by its flags alone: LibTorch brings a libgomp of its own, and naming the system's beside it would make two.
add_library(lossatlas_openmp INTERFACE)
separate_arguments(openmp_flags UNIX_COMMAND "${OpenMP_CXX_FLAGS}")
target_compile_options(lossatlas_openmp INTERFACE ${openmp_flags})
target_link_options(lossatlas_openmp INTERFACE ${openmp_flags})

# LibTorch may ship headers of another fmt than the one installed: a folder that holds the installed ones alone is
# searched before LibTorch's.
find_path(LOSSATLAS_FMT_FOLDER fmt/format.h REQUIRED)
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/include")
file(CREATE_LINK "${LOSSATLAS_FMT_FOLDER}/fmt" "${PROJECT_BINARY_DIR}/include/fmt" SYMBOLIC)
add_library(lossatlas_fmt INTERFACE)
target_include_directories(lossatlas_fmt SYSTEM BEFORE INTERFACE "${PROJECT_BINARY_DIR}/include")
target_link_libraries(lossatlas_fmt INTERFACE fmt::fmt)

# Precompiled headers, one for each kind of room. A target can share one only if it is compiled with the same flags.
# They hold what takes long to read and most files of such rooms include; LibTorch's share is the tensor alone, as its
# operators (<ATen/ATen.h>) and modules (<torch/nn/module.h>) take four and five times as long: a file includes those
# that it calls, one by one.
set(headers <algorithm> <cmath> <filesystem> <functional> <map> <memory> <optional> <string> <vector>
            <fmt/format.h> <fmt/ranges.h> <nlohmann/json.hpp>)
function(lossatlas_precompiled name)
  cmake_parse_arguments(PCH "" "" "HEADERS;USES" ${ARGN})
  add_library(lossatlas_${name}_pch OBJECT "${PROJECT_SOURCE_DIR}/cmake/pch.cpp")
  target_link_libraries(lossatlas_${name}_pch PRIVATE
    lossatlas_fmt nlohmann_json::nlohmann_json ${PCH_USES} lossatlas_options)
  target_precompile_headers(lossatlas_${name}_pch PRIVATE ${headers} ${PCH_HEADERS})
endfunction()
lossatlas_precompiled(plain)
lossatlas_precompiled(torch USES LossatlasTorch::torch lossatlas_openmp HEADERS <ATen/core/Tensor.h>)

# Lets a target include the headers of rooms: "sweep.h" of landscape as "landscape/sweep.h". The include folder of a
# room is build/<preset>/rooms/NAME, which holds a link NAME to its sources and nothing else.
function(lossatlas_sees target)
  foreach(room IN LISTS ARGN)
    target_include_directories(${target} PRIVATE "${PROJECT_BINARY_DIR}/rooms/${room}")
  endforeach()
endfunction()

function(lossatlas_room name)
  cmake_parse_arguments(ROOM "TORCH;OWN_FLAGS" "FOLDER" "USES;PRIVATE_USES" ${ARGN})
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${ROOM_FOLDER}" "${PROJECT_BINARY_DIR}/rooms/${name}/${name}" SYMBOLIC)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${ROOM_FOLDER}/*.cpp")
  set(target lossatlas_${name})
  add_library(${target} STATIC ${sources})
  set(seen ${name})
  foreach(used IN LISTS ROOM_USES)
    if(TARGET lossatlas_${used})
      list(APPEND seen ${used})
      set(used lossatlas_${used})
    endif()
    target_link_libraries(${target} PUBLIC ${used})
  endforeach()
  target_link_libraries(${target} PRIVATE ${ROOM_PRIVATE_USES} lossatlas_options)
  lossatlas_sees(${target} ${seen})
  set_target_properties(${target} PROPERTIES LOSSATLAS_SEES "${seen}")
  if(ROOM_TORCH)
    target_link_libraries(${target} PRIVATE LossatlasTorch::torch lossatlas_openmp)
    target_precompile_headers(${target} REUSE_FROM lossatlas_torch_pch)
  elseif(NOT ROOM_OWN_FLAGS)
    target_precompile_headers(${target} REUSE_FROM lossatlas_plain_pch)
  endif()
endfunction()
