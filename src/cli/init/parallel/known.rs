//! The options of GNU parallel's, by their forms.

use crate::cli::init::options::Known;

pub(super) const KNOWN: Known = Known {
    letters: "aBCdDEHIjJLnNPsSUW",
    optional: "iel",
    names: "argfile argfilesep argsep basefile basenameextensionreplace basenamereplace bf bin block blocksize \
            blocktimeout bner bnr bt colsep compressprogram ctagstring debug decompressprogram delay delimiter \
            dirnamereplace dnr env er extensionreplace filter groupby halt haltonerror header id jl joblog jobs limit \
            linkinputsource load maxargs maxchars maxprocs maxreplaceargs memfree memsuspend minversion nice parens \
            processslotvar profile recend recstart res result results retries return rpl rsyncopts semaphorename \
            semaphoretimeout seqreplace shard shellcompletion slf slotreplace sql sqlandworker sqlmaster sqlworker ssh \
            sshdelay sshlogin sshloginfile st tagstring tempdir template termseq tf timeout tmpdir tmpl total totaljobs \
            transferfile transferfiles trc trim usecompressprogram usedecompressprogram wd workdir xapplyinputsource",
    flags: "bar bg bibtex bug cat cf citation cleanup color colorfail colorfailed colour colourfail colourfailed \
            compress controlmaster csv ctag ctrlc dr dryrun embed eof eta exit fg fifo files filterhost filterhosts gnu \
            group hashbang help hgrp hostgroup hostgroups hostgrp interactive keeporder latestline lb linebuffer \
            linebuffered link ll maxlinelengthallowed maxlines nn noctrlc nok nokeeporder nonall nonotice norunifempty \
            noswap null numberofcores numberofcpus numberofsockets numberofthreads onall opentty outputasfiles pipe \
            pipepart plain plus progress quote recordenv regex regexp removerecsep replace resume resumefailed \
            retryfailed round roundrobin rrs semaphore shebang shellquote showlimits shuf silent skipfirstline \
            spreadstdin tag tee tmux tmuxpane tollef transfer tty ungroup usecoresinsteadofthreads \
            usecpusinsteadofcores usesocketsinsteadofthreads verbose version wait willcite xapply xargs",
};
