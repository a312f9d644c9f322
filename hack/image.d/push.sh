# shellcheck shell=bash
# Pushes images to a registry.
# shellcheck disable=SC2154 # $hack and $work are of whoever sources this.

# push_images IMAGE:TAG FLAG KIND ARCH=FOLDER..: FLAG is --plain-http or empty; KIND is one of layout.py's.
push_images() {
  local image=$1 tag tls=()
  case $2 in
    '') ;;
    --plain-http) tls=(--dest-tls-verify=false) ;;
    *) usage ;;
  esac
  is_tagged "$image"
  tag=${image##*:}
  need skopeo
  need python3
  python3 "$hack/image.d/layout.py" "$work/layout" "$tag" "${@:3}"
  skopeo --insecure-policy copy --quiet --all --preserve-digests "${tls[@]}" "oci:$work/layout:$tag" "docker://$image" >&2 ||
    die "$image cannot be pushed"
}

# is_tagged IMAGE: exits if it names no tag.
is_tagged() {
  case ${1##*:} in "$1" | */*) die "name a tag: $1:TAG" ;; esac
}
