/**
 * The text of a program of the archive: `script`, a path in it, run by the Node that came along. It works from wherever it is
 * called or linked and starts nothing that the PATH decides: `command -p` finds `readlink` among the system's own programs.
 *
 * A file called libstdc++.so.6.0.N has the symbols GLIBCXX_3.4.N. Where the host has none for `libstdcxx`, the archive's serves;
 * else the host's, since its drivers may need more than the archive's has.
 */
export function launcher(script, libstdcxx) {
  return `#!/bin/sh
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
while [ -h "$self" ]; do
  target=$(command -p readlink "$self") || exit 1
  case $target in /*) self=$target ;; *) self=\${self%/*}/$target ;; esac
done
root=$(CDPATH= cd -- "\${self%/*}/.." && pwd -P) || exit 1

own=$root/lib/gcc
for library in /usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.* /lib/x86_64-linux-gnu/libstdc++.so.6.0.* \\
  /usr/lib64/libstdc++.so.6.0.* /lib64/libstdc++.so.6.0.* /usr/lib/libstdc++.so.6.0.* /lib/libstdc++.so.6.0.*; do
  if [ -e "$library" ] && [ "\${library##*.}" -ge ${libstdcxx} ] 2>/dev/null; then own= && break; fi
done
if [ -n "$own" ]; then
  export LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$own"
fi
exec "$root/lib/node" "$root/${script}" "$@"
`;
}
