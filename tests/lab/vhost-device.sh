#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Stands for backends that Debian does not have, with the options and the sockets of theirs: those
# of rust-vmm (vhost-device-TYPE) add a number to most of their sockets. The other names in
# docs/devices are nobody's.
name=${0##*/}
type=${name#*-}
type=${type#device-}
path=
number=0
for option; do
    case $option in
    --socket-path=*|--socket=*) socket=${option#*=} ;;
    --device-list=*) list=${option#*=} ;;
    esac
done
case $name in
vhost-device-i2c) path=/dev/i2c-${list%%:*} ;;
vhost-device-gpio) path=/dev/gpiochip$list ;;
vhost-device-scsi|vhost-device-sound|my-*) number= ;;
esac
[ "$name" = my-device ] && type=loopback
exec /usr/libexec/xen-virtio/xen-virtio-test-backend "--type=$type" \
    "--socket-path=$socket$number" --protocol=0xffffffff ${path:+"--path=$path"}
