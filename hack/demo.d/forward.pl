#!/usr/bin/env perl
# One port of this machine, for something that listens in another network namespace.
#
#   forward.pl listen COMMAND..   opens a free port on loopback and becomes COMMAND, which finds the
#                                 socket at the descriptor $LISTENER and its port in $LISTENER_PORT
#   forward.pl accept FD PORT     takes connections from that socket to PORT on loopback of the
#                                 namespace that it runs in
#
# A socket stays in the namespace it was made in, whoever holds it.
use strict;
use warnings;
use Fcntl qw(F_SETFD);
use IO::Select;
use IO::Socket::INET;

my $mode = shift // '';
if ($mode eq 'listen') { listen_and_become(@ARGV) }
elsif ($mode eq 'accept' && @ARGV == 2) { accept_for_ever(@ARGV) }
else { die "usage: forward.pl listen COMMAND.. | accept FD PORT\n" }

sub listen_and_become {
  my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
    or die "no port on loopback: $@\n";
  fcntl($socket, F_SETFD, 0) or die "fcntl: $!\n";
  @ENV{qw(LISTENER LISTENER_PORT)} = (fileno $socket, $socket->sockport);
  exec @_ or die "$_[0]: $!\n";
}

sub accept_for_ever {
  my ($fd, $port) = @_;
  my $socket = IO::Socket::INET->new_from_fd($fd, 'r+') or die "descriptor $fd: $!\n";
  $SIG{CHLD} = 'IGNORE';
  while (1) {
    my $client = $socket->accept or next;
    my $child = fork // next;
    if ($child == 0) {
      close $socket;
      my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10) or exit 1;
      pump($client, $server);
      exit 0;
    }
    close $client;
  }
}

# Copies both ways until both sides have said all.
sub pump {
  my %other = ("$_[0]" => $_[1], "$_[1]" => $_[0]);
  my $readable = IO::Select->new(@_);
  while (my @ready = $readable->can_read) {
    for my $from (@ready) {
      my $to = $other{"$from"};
      my $size = sysread $from, my $data, 65536;
      if (!$size) {
        $readable->remove($from);
        shutdown $to, 1;
        next;
      }
      for (my $sent = 0; $sent < $size;) {
        $sent += syswrite($to, $data, $size - $sent, $sent) // return;
      }
    }
  }
}
