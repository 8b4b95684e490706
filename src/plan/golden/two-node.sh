#!/bin/sh
# What nslab would do, as commands. Run it as root; the first command that fails ends it.
set -eu

# A network namespace is a network stack of its own: interfaces, routes, sockets. `ip netns` pins it by a
# file in /run/netns. The alias of its loopback interface says whose it is. Files in /etc/netns/NAME stand
# in for those in /etc for what `ip netns exec NAME` runs.
ip netns add two-node-fabric
ip -n two-node-fabric link set dev lo alias nslab:two-node/fabric up
ip netns add two-node-net1
ip -n two-node-net1 link set dev lo alias nslab:two-node/net1 up
ip netns add two-node-net2
ip -n two-node-net2 link set dev lo alias nslab:two-node/net2 up
mkdir -p /etc/netns/.two-node/10.0.0.0-24
cat > /etc/netns/.two-node/10.0.0.0-24/hosts <<'END'
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
10.0.0.1 net1
10.0.0.2 net2
END
mkdir -p /etc/netns
ln -s /etc/netns/.two-node/10.0.0.0-24 /etc/netns/two-node-net1
ln -s /etc/netns/.two-node/10.0.0.0-24 /etc/netns/two-node-net2

# Parameters of the network stacks, before any interface is there: each takes them over when it is made.
ip netns exec two-node-fabric sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip netns exec two-node-fabric sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip netns exec two-node-net1 sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip netns exec two-node-net1 sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip netns exec two-node-net2 sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip netns exec two-node-net2 sysctl -qw net.ipv6.conf.default.disable_ipv6=1

# A bridge is an Ethernet switch inside the kernel.
ip -n two-node-fabric link add name br0 type bridge
ip -n two-node-fabric link set dev br0 address 02:6b:25:10:b7:eb mtu 1500 up

# A veth pair is a cable: what goes in at one end comes out at the other. An end whose master is a bridge is
# a port of that switch.
ip -n two-node-fabric link add name net1 address 02:e1:57:93:6e:f0 mtu 1500 type veth peer name eth0 address 02:dd:35:8f:90:55 mtu 1500 netns two-node-net1
ip -n two-node-fabric link set dev net1 master br0 up
ip -n two-node-net1 link set dev eth0 up
ip -n two-node-fabric link add name net2 address 02:e1:57:90:6e:f0 mtu 1500 type veth peer name eth0 address 02:7c:ef:30:e5:53 mtu 1500 netns two-node-net2
ip -n two-node-fabric link set dev net2 master br0 up
ip -n two-node-net2 link set dev eth0 up

# Addresses. Each brings the route to its subnet along.
ip -n two-node-net1 address add 10.0.0.1/24 dev eth0
ip -n two-node-net2 address add 10.0.0.2/24 dev eth0
