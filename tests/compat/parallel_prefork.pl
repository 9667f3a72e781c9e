# The text-size server as Parallel::Prefork's users write it: port on standard output, log on standard error.
use strict;
use warnings;
use IO::Socket::INET;
use Parallel::Prefork;
my ($workers, $requests) = @ARGV;
$SIG{PIPE} = $SIG{ALRM} = 'IGNORE';
$| = 1;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', ReuseAddr => 1, Listen => 1024) or die $!;
print $listen->sockport, "\n";
my $pm = Parallel::Prefork->new({
    max_workers => $workers, err_respawn_interval => 0.1,
    trap_signals => { map { $_ => 'TERM' } qw(TERM HUP INT QUIT) } });
while ($pm->signal_received !~ /^(?:TERM|INT|QUIT)$/) {
    $pm->start && next;
    my $left = $requests;
    $SIG{TERM} = sub { $left = 0 };
    while ($left-- > 0) {
        my $client = $listen->accept() or last;
        $client->recv(my $text, 2000);
        utf8::decode($text);
        print $client "$$ your text size: " . length($text) . "\n\n";
        close $client;
    }
    $pm->finish;
}
$pm->wait_all_children;
