# Proves that layering_test.cmake can fail: run on tests/checks/forbidden_includes it must name exactly
# the includes that are marked FORBIDDEN there, and no other.
#   cmake -DBAD=<folder> -DCHECK=<layering_test.cmake> -P layering_self_test.cmake
cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE files RELATIVE ${BAD} ${BAD}/*.h ${BAD}/*.cpp)
set(expected "")
foreach(file IN LISTS files)
  file(STRINGS ${BAD}/${file} lines REGEX "FORBIDDEN")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*).*" "\\1" header "${line}")
    list(APPEND expected "${file}: includes \"${header}\"")
  endforeach()
endforeach()

execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${BAD} -P ${CHECK}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
list(LENGTH expected count)
if(result EQUAL 0 OR count EQUAL 0 OR NOT output MATCHES "${count} forbidden includes")
  message(FATAL_ERROR "Expected a failure with ${count} forbidden includes, got result ${result}:\n${output}")
endif()
foreach(problem IN LISTS expected)
  string(FIND "${output}" "${problem}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "Not reported: ${problem}\n${output}")
  endif()
endforeach()
message(STATUS "all ${count} forbidden includes reported")
