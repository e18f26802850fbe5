# Fails if an object file that runs on every x86-64 CPU has an instruction of AVX or later: all of those have names in v, or
# registers ymm, zmm or k0..k7. cmake -DOBJDUMP= "-DOBJECTS=a;b" -P avx.cmake
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${OBJDUMP} -d --no-show-raw-insn ${object} OUTPUT_VARIABLE code COMMAND_ERROR_IS_FATAL ANY)
  if(NOT code MATCHES "\tret")
    message(FATAL_ERROR "${object}: no code found")
  endif()
  if(code MATCHES "\n[^\n]*\t(v[a-z0-9]+ |[^\n]*%[yz]mm|[^\n]*%k[0-7])[^\n]*")
    message(FATAL_ERROR "${object}: ${CMAKE_MATCH_0}")
  endif()
endforeach()
