# Sets `variable` to `number`, and the git revision if `folder`, that of the sources, is the root of a repository: a copy
# of them may lie in another one, whose revision would say nothing of them.
function(lossatlas_version variable folder number)
  set(version "${number}")
  execute_process(COMMAND git -C "${folder}" rev-parse --show-toplevel --short HEAD
    OUTPUT_VARIABLE repository OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(repository MATCHES "^(.*)\n([0-9a-f]+)$")
    set(revision "${CMAKE_MATCH_2}")
    file(REAL_PATH "${CMAKE_MATCH_1}" root)
    file(REAL_PATH "${folder}" here)
    if(root STREQUAL here)
      string(APPEND version " (${revision})")
    endif()
  endif()
  set(${variable} "${version}" PARENT_SCOPE)
endfunction()
