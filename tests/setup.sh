# Read by tests/run and examples/run: the one list of Debian packages, and how they are installed.

quickstart_packages='g++ meson libasio-dev libboost-dev node-llhttp'
test_packages="$quickstart_packages doctest-dev pkg-config python3 nginx-light redis-server strace valgrind"
full_packages="$test_packages cmake gdb clang-19 clang-format-19 libclang-rt-19-dev libc++-19-dev
  libc++abi-19-dev libssl-dev openssl postgresql-15 etcd-server mosquitto libgtest-dev catch2
  libboost-test-dev doxygen memcached mosquitto-clients openssh-server mariadb-server-core
  mariadb-client-core munge slurmctld slurmd slurm-client
  podman crun catatonit busybox-static"

install_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo 'No Debian here: what the system lacks comes from the wraps in subprojects/.'
    return
  fi
  missing=
  for package; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
      installed*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0

  if [ "$(id -u)" -eq 0 ]; then
    sudo=
  elif command -v sudo >/dev/null; then
    sudo=sudo
  else
    echo "Neither root nor sudo: going on without$missing"
    return
  fi
  echo "Installing$missing"
  apt_get update || true
  known=
  for package in $missing; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      known="$known $package"
    else
      echo "This system has no package $package: going on without"
    fi
  done
  [ -n "$known" ] || return 0

  # Only the programs are wanted: a service that comes along starts neither now nor at the next boot.
  units=
  if [ -d /run/systemd/system ]; then
    for unit in nginx redis-server postgresql etcd mosquitto memcached ssh munge slurmctld slurmd \
      podman; do
      case $known in
        *$unit*) systemctl cat "$unit.service" >/dev/null 2>&1 || units="$units $unit.service" ;;
      esac
    done
  fi
  [ -z "$units" ] || $sudo systemctl mask --runtime --quiet $units || true
  apt_get install -y --no-install-recommends $known || echo 'Not everything was installed: going on'
  if [ -n "$units" ]; then
    $sudo systemctl unmask --runtime --quiet $units || true
    $sudo systemctl disable --quiet $units || true
  fi
}

# RUNLEVEL=1 is the same where there is no systemd.
apt_get() {
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

need() {
  for program; do
    command -v "$program" >/dev/null || {
      echo "$0 needs $program" >&2
      exit 1
    }
  done
}
