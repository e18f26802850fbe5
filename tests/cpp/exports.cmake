# Fails unless the object file of one instruction set exports its table and nothing else: a template of the standard library
# compiled there could be linked into code for every CPU. cmake -DNM= -DOBJECT= -DSYMBOL= -P exports.cmake
execute_process(COMMAND ${NM} -g --defined-only ${OBJECT} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(STRIP "${symbols}" symbols)
if(NOT symbols MATCHES "^[0-9a-f]+ [DRB] [_A-Za-z0-9]*${SYMBOL}E?$")
  message(FATAL_ERROR "expected ${SYMBOL} alone, got:\n${symbols}")
endif()
