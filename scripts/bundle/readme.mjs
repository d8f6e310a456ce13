/** The README of the archive. `needs`: what it holds, and the oldest libraries with which it runs (contents.mjs). */
export function readme(version, { glibc, libstdcxx, glibcOfLibraries, checkpoint, softwareAdapter, commit }) {
  return `# mask-llava ${version} for x86-64 Linux

Asks a picture on a GPU, or ${softwareAdapter ? "slowly without one" : "on an installed software adapter"}. Everything it needs is in this folder: nothing is
installed, nothing is fetched, and the PATH does not matter. The folder may be moved, and its programs may be linked to.

    bin/mask-llava doctor                          which adapter is used and why, and whether it computes correctly
${
  checkpoint
    ? `    bin/mask-llava ask                             asks about an example picture
    bin/mask-llava ask PICTURE QUESTION            with the embedded checkpoint
`
    : ""
}    bin/mask-llava ask PICTURE QUESTION --model DIR
    bin/mask-llava --help
    bin/mask-llava-bench --help                    measures kernels and networks

Needed of the host: a Linux kernel, /bin/sh, and glibc 2.${glibc} with libstdc++.so.6.0.${libstdcxx}, or newer, such as Debian 12, Ubuntu 22.04
and RHEL 9 have. Where libstdc++ is absent or older, the one in lib/gcc serves, which needs glibc 2.${glibcOfLibraries}. For a GPU: its Vulkan driver
(CONTAINERS.md tells the rest).
${
  softwareAdapter
    ? `Without one, the embedded software adapter is used. It is unpacked into $XDG_CACHE_HOME/mask-llava, ~/.cache/mask-llava, or
/tmp/mask-llava-<uid>, whichever can be written to first; compiled kernels of installed drivers are kept there too.
`
    : `The embedded software adapter is left out of this archive. Compiled kernels are kept in $XDG_CACHE_HOME/mask-llava,
~/.cache/mask-llava, or /tmp/mask-llava-<uid>, whichever can be written to first.
`
}${checkpoint ? "" : "\nNo checkpoint is in this archive: give --model DIR, a folder in Hugging Face's layout or one with mask_llava.json.\n"}
mask-llava is under the Apache-2.0 (LICENSE); what it brings of others' work is listed in THIRD-PARTY-NOTICES.txt.${commit ? `\nBuilt from commit ${commit}.` : ""}
`;
}
