# LibTorch from a torch wheel, as imported targets made here. The wheel's own TorchConfig.cmake
# asks for the whole CUDA toolkit; the program needs only libtorch_cpu and libc10, so that one
# binary runs on a bare laptop and on a GPU node.
#
#   LibTorch::headers   include folders only (fmt's headers live there too; common/fmt_library.cpp)
#   LibTorch::cpu       libtorch_cpu.so + libc10.so
#   LibTorch::openmp    -fopenmp and the wheel's libgomp.so.1
#   LibTorch::c10_cuda  libc10_cuda.so, when the wheel is a CUDA build
#
# Looked for in: -DLIBTORCH=<folder with include/ and lib/>, $LIBTORCH, .deps/torch (made by
# launch/setup.sh), then the active Python's torch of the same version.
set(CROSSLOOM_TORCH_VERSION 2.11.0)

set(_candidates ${LIBTORCH} $ENV{LIBTORCH} ${PROJECT_SOURCE_DIR}/.deps/torch)
find_program(_python python3)
if(_python)
  execute_process(
    COMMAND ${_python} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE _python_torch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND _candidates ${_python_torch})
endif()

set(LibTorch_ROOT_FOLDER "")
foreach(_folder IN LISTS _candidates)
  if(EXISTS ${_folder}/lib/libtorch_cpu.so AND EXISTS ${_folder}/version.py)
    file(STRINGS ${_folder}/version.py _line REGEX "^__version__")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" _version "${_line}")
    if(_version VERSION_EQUAL CROSSLOOM_TORCH_VERSION)
      set(LibTorch_ROOT_FOLDER ${_folder})
      set(LibTorch_VERSION ${_version})
      break()
    endif()
    message(STATUS "LibTorch ${_version} at ${_folder} passed over: ${CROSSLOOM_TORCH_VERSION} is needed")
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_ROOT_FOLDER VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "No torch ${CROSSLOOM_TORCH_VERSION} found. Run launch/setup.sh, or pass -DLIBTORCH=<folder that holds include/ and lib/>.")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::headers INTERFACE IMPORTED)
  target_include_directories(LibTorch::headers SYSTEM INTERFACE
    ${LibTorch_ROOT_FOLDER}/include ${LibTorch_ROOT_FOLDER}/include/torch/csrc/api/include)

  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_ROOT_FOLDER}/lib/libc10.so)
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES IMPORTED_LOCATION ${LibTorch_ROOT_FOLDER}/lib/libtorch_cpu.so)
  target_link_libraries(LibTorch::cpu INTERFACE LibTorch::headers LibTorch::c10)
  # The wheel's libraries find cudart, cupti and libgomp through their own RPATH.
  target_link_options(LibTorch::cpu INTERFACE -Wl,--allow-shlib-undefined)

  # One OpenMP runtime per process: the wheel's own, with which libtorch_cpu was built.
  add_library(LibTorch::openmp SHARED IMPORTED)
  set_target_properties(LibTorch::openmp PROPERTIES
    IMPORTED_LOCATION ${LibTorch_ROOT_FOLDER}/lib/libgomp.so.1 INTERFACE_COMPILE_OPTIONS -fopenmp)

  if(EXISTS ${LibTorch_ROOT_FOLDER}/lib/libc10_cuda.so)
    add_library(LibTorch::c10_cuda SHARED IMPORTED)
    set_target_properties(LibTorch::c10_cuda PROPERTIES IMPORTED_LOCATION ${LibTorch_ROOT_FOLDER}/lib/libc10_cuda.so)
    target_link_libraries(LibTorch::c10_cuda INTERFACE LibTorch::headers LibTorch::c10)
  endif()
endif()
