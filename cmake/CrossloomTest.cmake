# One ctest entry per test binary and rank count, GoogleTest inside.
#
#   crossloom_add_test(NAME common SOURCES a_test.cpp … LINK crossloom_common [LABELS unit]
#                      [TIMEOUT 300] [FILTER 'pattern'])
#   crossloom_add_mpi_test(NAME communicator SOURCES … LINK … RANKS 1 2 4)
#
# A binary whose tests are all skipped exits 77 and is reported as skipped (tests/test_main.cpp).
# Tests that may be skipped get an entry of their own, so that the summary shows it:
#
#   crossloom_split_test(NAME data ENTRY data_h5py FILTER '*H5py*' [LABELS golden] [TIMEOUT 300])
find_package(GTest REQUIRED)

# Open MPI leaks what its plugins allocated and unloads them, so that no suppression can name them:
# sanitizer builds look for leaks in the tests without ranks.
set(CROSSLOOM_MPI_ENVIRONMENT OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_mpi_yield_when_idle=1 ASAN_OPTIONS=detect_leaks=0)

function(crossloom_test_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} crossloom_build_flags GTest::gtest GTest::gmock)
  target_compile_definitions(${name} PRIVATE CROSSLOOM_TEST_FOLDER="${PROJECT_SOURCE_DIR}/tests")
endfunction()

function(crossloom_add_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  crossloom_test_binary(${ARG_NAME}_test SOURCES ${PROJECT_SOURCE_DIR}/tests/test_main.cpp ${ARG_SOURCES} LINK ${ARG_LINK})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME}_test)
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "unit;${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "OMP_WAIT_POLICY=passive")  # waiting threads sleep: machines are shared
endfunction()

# Moves the tests that match FILTER out of NAME's entry into ENTRY; may be called several times.
function(crossloom_split_test)
  cmake_parse_arguments(ARG "" "NAME;ENTRY;FILTER;TIMEOUT" "LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  get_target_property(elsewhere ${ARG_NAME}_test CROSSLOOM_ELSEWHERE)
  set(moved "${ARG_FILTER}")
  if(elsewhere)
    set(moved "${elsewhere}:${moved}")
  endif()
  set_target_properties(${ARG_NAME}_test PROPERTIES CROSSLOOM_ELSEWHERE "${moved}")
  set_tests_properties(${ARG_NAME} PROPERTIES ENVIRONMENT "OMP_WAIT_POLICY=passive;GTEST_FILTER=-${moved}")
  add_test(NAME ${ARG_ENTRY} COMMAND ${ARG_NAME}_test --gtest_filter=${ARG_FILTER})
  set_tests_properties(${ARG_ENTRY} PROPERTIES LABELS "unit;${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "OMP_WAIT_POLICY=passive")
endfunction()

function(crossloom_add_mpi_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SOURCES;LINK;LABELS;RANKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  crossloom_test_binary(${ARG_NAME}_mpi_test SOURCES ${PROJECT_SOURCE_DIR}/tests/mpi_main.cpp ${ARG_SOURCES} LINK ${ARG_LINK} crossloom_comm)
  foreach(ranks IN LISTS ARG_RANKS)
    set(entry ${ARG_NAME}_ranks_${ranks})
    add_test(NAME ${entry} COMMAND ${MPIEXEC_EXECUTABLE} -n ${ranks} --oversubscribe --bind-to none $<TARGET_FILE:${ARG_NAME}_mpi_test>)
    set_tests_properties(${entry} PROPERTIES LABELS "mpi;${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} PROCESSORS 2 SKIP_RETURN_CODE 77
      ENVIRONMENT "${CROSSLOOM_MPI_ENVIRONMENT};OMP_NUM_THREADS=1")
  endforeach()
endfunction()
