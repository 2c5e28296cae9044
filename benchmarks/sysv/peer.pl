# The rows of System V, by perl: its built-in functions, and IPC::SysV where perl has no attaching.
#
#     perl peer.pl builtin|attached ROW SECONDS
use strict;
use warnings;
use List::Util qw(max min);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

use constant { PRIVATE => 0, RMID => 0, GETVAL => 12, GETALL => 13, MODE => 0600, BLOCK => 0.001 };

my ($how, $row, $seconds) = @ARGV;
if ($how eq 'attached') {
    require IPC::SysV;
    IPC::SysV->import(qw(shmat shmdt memread memwrite));
}

my @small = map { pack 'C*', $_ .. $_ + 63 } 0, 64;
my @large = map { pack('C*', @$_) x 4096 } [0 .. 255], [reverse 0 .. 255];

sub wrong { die "what came back is not what was written" }

# As worker.py does it: the median over blocks of about 1 ms of CPU time.
sub measure {
    my ($block) = @_;
    my $n = 2;
    my $timed = sub {
        my $start = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
        $block->($n);
        return clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $start;
    };
    $n *= 2 while min($timed->(), $timed->(), $timed->()) < BLOCK;
    my @times;
    my $stop = clock_gettime(CLOCK_MONOTONIC) + $seconds;
    push @times, $timed->() while @times < 5 || clock_gettime(CLOCK_MONOTONIC) < $stop;
    @times = sort { $a <=> $b } @times;
    my $median = ($times[$#times / 2] + $times[@times / 2]) / 2;
    printf qq({"": %.3f}\n), $median / $n * 1e9;
}

sub new_segment { return shmget(PRIVATE, $_[0], MODE) // die "shmget: $!" }

sub with_segment {
    my ($size, $make) = @_;
    my $id = new_segment($size);
    my $done = eval { measure($make->($id)); 1 };
    shmctl($id, RMID, 0) or die "shmctl: $!";
    die $@ unless $done;
}

sub semop_of {
    my ($count) = @_;
    my $id = semget(PRIVATE, $count, MODE) // die "semget: $!";
    my $up = join '', map { pack 's!3', $_, 1, 0 } 0 .. $count - 1;
    my $down = join '', map { pack 's!3', $_, -1, 0 } 0 .. $count - 1;
    my $done = eval {
        measure(sub {
            my ($n) = @_;
            for (1 .. $n) {
                semop($id, $up) or die "semop: $!";
                semop($id, $down) or die "semop: $!";
            }
            semop($id, $up) or die "semop: $!";
            my $values = '';
            semctl($id, 0, GETALL, $values) or die "semctl: $!";
            wrong() if $values ne pack('s!*', (1) x $count);
            semop($id, $down) or die "semop: $!";
        });
        1;
    };
    semctl($id, 0, RMID, 0) or die "semctl: $!";
    die $@ unless $done;
}

sub copy {
    my ($size, $first, $second, $each) = @_;
    with_segment(max($size, 4096), sub {
        my ($id) = @_;
        my $read = '';
        return sub {
            my ($n) = @_;
            for (1 .. $n) {
                shmwrite($id, $first, 0, $size) or die "shmwrite: $!";
                shmread($id, $read, 0, $size) or die "shmread: $!";
                wrong() if $each ? $read ne $first : substr($read, -1) ne substr($first, -1);
                shmwrite($id, $second, 0, $size) or die "shmwrite: $!";
                shmread($id, $read, 0, $size) or die "shmread: $!";
                wrong() if $each ? $read ne $second : substr($read, -1) ne substr($second, -1);
            }
            wrong() if $read ne $second;
        };
    });
}

my %builtin = (
    'semop-one' => sub { semop_of(1) },
    'semop-three' => sub { semop_of(3) },
    'copy-64' => sub { copy(64, @small, 1) },
    'copy-1m' => sub { copy(1 << 20, @large, 0) },
    'message-64' => sub {
        my $id = msgget(PRIVATE, MODE) // die "msgget: $!";
        my ($first, $second) = map { pack 'l! a*', 1, $_ } @small;
        my $received = '';
        my $done = eval {
            measure(sub {
                my ($n) = @_;
                for (1 .. $n) {
                    msgsnd($id, $first, 0) or die "msgsnd: $!";
                    msgrcv($id, $received, 64, 0, 0) // die "msgrcv: $!";
                    wrong() if $received ne $first;
                    msgsnd($id, $second, 0) or die "msgsnd: $!";
                    msgrcv($id, $received, 64, 0, 0) // die "msgrcv: $!";
                    wrong() if $received ne $second;
                }
            });
            1;
        };
        msgctl($id, RMID, 0) or die "msgctl: $!";
        die $@ unless $done;
    },
    'create-segment' => sub {
        measure(sub { for (1 .. $_[0]) { shmctl(new_segment(4096), RMID, 0) or die "shmctl: $!" } });
    },
    'create-set' => sub {
        measure(sub {
            for (1 .. $_[0]) {
                semctl(semget(PRIVATE, 1, MODE) // die("semget: $!"), 0, RMID, 0) or die "semctl: $!";
            }
        });
    },
    'create-queue' => sub {
        measure(sub {
            for (1 .. $_[0]) { msgctl(msgget(PRIVATE, MODE) // die("msgget: $!"), RMID, 0) or die "msgctl: $!" }
        });
    },
);

my %attached = (
    'view-64' => sub {
        with_segment(4096, sub {
            my $at = shmat($_[0], undef, 0) // die "shmat: $!";
            my ($first, $second) = @small;
            my $read = '';
            return sub {
                my ($n) = @_;
                for (1 .. $n) {
                    memwrite($at, $first, 0, 64) or die "memwrite: $!";
                    memread($at, $read, 0, 64) or die "memread: $!";
                    wrong() if $read ne $first;
                    memwrite($at, $second, 0, 64) or die "memwrite: $!";
                    memread($at, $read, 0, 64) or die "memread: $!";
                    wrong() if $read ne $second;
                }
            };
        });
    },
    'attach' => sub {
        with_segment(1 << 20, sub {
            my ($id) = @_;
            shmwrite($id, $small[0], 0, 64) or die "shmwrite: $!";
            my $read = '';
            return sub {
                my ($n) = @_;
                for (1 .. $n) {
                    my $at = shmat($id, undef, 0) // die "shmat: $!";
                    shmdt($at) // die "shmdt: $!";
                }
                my $at = shmat($id, undef, 0) // die "shmat: $!";
                memread($at, $read, 0, 64) or die "memread: $!";
                wrong() if $read ne $small[0];
                shmdt($at) // die "shmdt: $!";
            };
        });
    },
    'attach-read' => sub {
        with_segment(1 << 20, sub {
            my ($id) = @_;
            shmwrite($id, $small[0], 0, 64) or die "shmwrite: $!";
            my $read = '';
            return sub {
                my ($n) = @_;
                for (1 .. $n) {
                    my $at = shmat($id, undef, 0) // die "shmat: $!";
                    memread($at, $read, 0, 64) or die "memread: $!";
                    wrong() if $read ne $small[0];
                    shmdt($at) // die "shmdt: $!";
                }
            };
        });
    },
    'create-segment' => sub {
        measure(sub {
            for (1 .. $_[0]) {
                my $id = new_segment(4096);
                my $at = shmat($id, undef, 0) // die "shmat: $!";
                shmdt($at) // die "shmdt: $!";
                shmctl($id, RMID, 0) or die "shmctl: $!";
            }
        });
    },
);

my $rows = $how eq 'attached' ? \%attached : \%builtin;
($rows->{$row} // die "no row $row\n")->();
