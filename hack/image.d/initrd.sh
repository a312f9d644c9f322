# shellcheck shell=bash
# The initial RAM disk: a program as /init, and the modules that $modules_list names. Those in
# $modules_always are loaded though no device asks for them.
# shellcheck disable=SC2154 # $work is of whoever sources this.

# initrd KERNEL INIT OUT [CA]: KERNEL is the folder of an unpacked kernel package.
initrd() {
  local root release base
  base=$1
  [ -d "$base/lib/modules" ] || base=$1/usr
  release=$(basename "$base"/lib/modules/*)
  root=$(mktemp -d "$work/root.XXXXXX")
  mkdir -p "$root"/{dev,etc/ssl/certs,proc,run,sys,tmp} "$root/lib/modules/$release"
  install -m 755 "$2" "$root/init"
  printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
  [ -z "${4-}" ] || install -m 644 "$4" "$root/etc/ssl/certs/ca-certificates.crt"
  add_modules "$base" "$release" "$root/lib/modules/$release"
  pack "$root" "$3"
  rm -rf "$root"
}

# add_modules BASE RELEASE FOLDER: copies the modules on the list with those that they need, and writes the lists that
# the agent loads them from. BASE is the folder with lib/modules/RELEASE.
add_modules() {
  local module file entry files=() folder=$1/lib/modules/$2
  while read -r module _; do
    mapfile -t files < <(files_of "$1" "$2" "$module")
    entry=
    for file in "${files[@]}"; do
      file=${file#"$folder/"}
      copy_module "$folder/$file" "$3/$(unpacked_name "$file")"
      # The module itself comes first, and is loaded last, as in depmod's file.
      entry="$(unpacked_name "$file") $entry"
    done
    [ -z "$entry" ] || printf '%s\n' "$entry" | sed 's/ /: /; s/ *$//' >>"$3/modules.dep"
  done < <(sed 's/#.*//; /^ *$/d' "${modules_list:?}")
  LC_ALL=C sort -u -o "$3/modules.dep" "$3/modules.dep"
  write_aliases "$folder/modules.alias" "$3"
  # shellcheck disable=SC2086 # words of their own
  printf '%s\n' efivarfs ipmi_devintf ${modules_always-} >"$3/modules.always"
}

# files_of BASE RELEASE MODULE: prints the files of a module and of those that it needs, in the order in which they are
# loaded; nothing, if it is built in or unknown.
files_of() {
  modprobe -d "$1" -S "$2" --show-depends "$3" 2>/dev/null | awk '$1 == "insmod" {print $2}'
}

# write_aliases FILE FOLDER: which devices need which of the modules in FOLDER, from the kernel's FILE. A second word in
# a line of the list is a module with whose devices the first one is loaded as well.
write_aliases() {
  sed 's/:.*//; s/.*\///; s/\.ko$//; s/-/_/g' "$2/modules.dep" |
    awk -v list="${modules_list:?}" '
      BEGIN {while ((getline line < list) > 0) {if (split(line, word, " ") == 2 && word[1] != "#") also[word[2]] = word[1]}}
      NR == FNR {has[$1]; next}
      $1 == "alias" && $2 ~ /:/ {
        name = $3; gsub(/-/, "_", name)
        if (name in has) print "alias", $2, name
        if (also[name] in has) print "alias", $2, also[name]
      }' - "$1" | LC_ALL=C sort -u >"$2/modules.alias"
}

# unpacked_name FILE: the name of a module without its compression.
unpacked_name() {
  case $1 in
    *.xz | *.gz) printf '%s\n' "${1%.??}" ;;
    *.zst) printf '%s\n' "${1%.zst}" ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# copy_module FILE OUT: kernels have their modules compressed in several ways. Here they are plain: the agent passes them
# on as they are, not every kernel can decompress them, and all of the initial RAM disk is compressed.
copy_module() {
  mkdir -p "${2%/*}"
  case $1 in
    *.xz) xz -dc "$1" >"$2" ;;
    *.zst) zstd -q -dc "$1" >"$2" ;;
    *.gz) gzip -dc "$1" >"$2" ;;
    *) cp "$1" "$2" ;;
  esac
}

# pack ROOT OUT: reproducible, the same files give the same bytes.
pack() {
  find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  find "$1" -mindepth 1 -type d -exec chmod 755 {} +
  (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
    cpio --quiet --null --create --format=newc --reproducible --owner=+0:+0) |
    zstd -q -19 --no-progress >"$2"
}
