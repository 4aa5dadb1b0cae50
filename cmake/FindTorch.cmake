# LibTorch as target `torch`: one below CMAKE_PREFIX_PATH, or the system's.
#
# One without CUDA is found by its own package. The package of one with CUDA asks for the whole CUDA
# toolkit, nvcc included, with which nothing here compiles: headers and libraries are enough.
if(TARGET torch)
  set(Torch_FOUND TRUE)
  return()
endif()
find_path(TORCH_INCLUDE_DIR torch/csrc/api/include/torch/torch.h)
# Of the same LibTorch as the headers, not of another beside it.
set(torch_lib ${TORCH_INCLUDE_DIR}/../lib)
find_library(TORCH_CUDA_LIBRARY torch_cuda PATHS ${torch_lib} NO_DEFAULT_PATH)
if(TORCH_CUDA_LIBRARY)
  foreach(name torch torch_cpu c10 c10_cuda)
    find_library(TORCH_LIBRARY_${name} ${name} PATHS ${torch_lib} NO_DEFAULT_PATH REQUIRED)
  endforeach()
  # Of its package only what it says about the C++ library.
  file(GLOB torch_package ${TORCH_INCLUDE_DIR}/../share/cmake/Torch/TorchConfig.cmake)
  if(torch_package)
    file(STRINGS ${torch_package} TORCH_CXX_FLAGS REGEX "GLIBCXX_USE_CXX11_ABI=[01]")
  endif()
  add_library(torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(torch INTERFACE ${TORCH_INCLUDE_DIR}
                                             ${TORCH_INCLUDE_DIR}/torch/csrc/api/include)
  # What has CUDA registers itself when it is loaded; nothing refers to it by name.
  target_link_libraries(torch INTERFACE
    -Wl,--no-as-needed ${TORCH_LIBRARY_torch} ${TORCH_LIBRARY_torch_cpu} ${TORCH_CUDA_LIBRARY}
    ${TORCH_LIBRARY_c10_cuda} -Wl,--as-needed ${TORCH_LIBRARY_c10})
  message(STATUS "LibTorch with CUDA: ${TORCH_INCLUDE_DIR}")
  set(Torch_FOUND TRUE)
else()
  # Its targets are used by name in other folders than the one that looks for them.
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)
  find_package(Torch CONFIG REQUIRED)
  unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
endif()
if(TORCH_CXX_FLAGS MATCHES "GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR "The LibTorch in ${TORCH_INCLUDE_DIR} is built for the C++ library's old ABI. "
                      "Take the \"cxx11 ABI\" archive of that version, or 2.7 or newer.")
endif()
