# Fails when a room includes a header of a room that it must not know. Run by ctest:
#   cmake -DROOT=<source folder> -P layering_test.cmake
#
# The table says who may include whom; what is not in it is forbidden, so a new room is an error
# until it has a row. Includes are read, not preprocessed: `#include "room/file.h"` and
# `#include <room/file.h>` count wherever they stand. A path with `..` would walk around the table
# and is forbidden everywhere. tests/checks/forbidden_includes holds files that are wrong on purpose and is skipped.
cmake_minimum_required(VERSION 3.25)

set(ROOMS common models architectures data trainer eval launch tests benchmarks)
set(MAY_common common)
set(MAY_models common models)
set(MAY_architectures common architectures)
set(MAY_data common models data)
set(MAY_trainer common architectures data trainer)
set(MAY_eval common models architectures data eval)
set(MAY_launch common models architectures data trainer eval launch benchmarks)
set(MAY_tests ${MAY_launch} tests)
set(MAY_benchmarks ${MAY_launch} benchmarks)

# architectures/ is pure maths: no files, no YAML, no ranks.
set(NOT_IN_architectures "^(mpi\\.h|hdf5\\.h|nccl\\.h|yaml-cpp/|common/mpi_|common/communicator)")

set(problems "")
set(files_read 0)
foreach(room IN LISTS ROOMS)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${room}/*.h ${ROOT}/${room}/*.cpp ${ROOT}/${room}/*.cu
       ${ROOT}/${room}/*.cuh)
  list(FILTER files EXCLUDE REGEX "^tests/checks/forbidden_includes/")
  foreach(file IN LISTS files)
    math(EXPR files_read "${files_read} + 1")
    file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]*).*" "\\1" header "${line}")
      string(REGEX MATCH "^[^/]*" target "${header}")
      if(header MATCHES "(^|/)\\.\\.(/|$)")
        list(APPEND problems "${file}: includes \"${header}\": write the path from the source root")
      elseif(header MATCHES "/" AND target IN_LIST ROOMS AND NOT target IN_LIST MAY_${room})
        list(APPEND problems "${file}: includes \"${header}\": ${room}/ may not know ${target}/")
      elseif(DEFINED NOT_IN_${room} AND header MATCHES "${NOT_IN_${room}}")
        list(APPEND problems "${file}: includes \"${header}\": not in ${room}/")
      endif()
    endforeach()
  endforeach()
endforeach()

if(files_read EQUAL 0)
  message(FATAL_ERROR "No source file under '${ROOT}'")
endif()
if(problems)
  list(LENGTH problems count)
  list(JOIN problems "\n  " text)
  message(FATAL_ERROR "${count} forbidden includes:\n  ${text}")
endif()
message(STATUS "${files_read} files, every include points down")
