"""What runs in the limited process beside the server: decoders of what strangers send.

This folder is a package of its own that imports nothing of ours but itself, always by relative names: the process that
runs it is small, starts fast, and holds neither keys nor the server's code. `server/media/sandbox` starts and feeds it.

    program       the loop: a job in, an answer out
    frames        how both travel through a pipe
    confinement   what the process gives up before its first job
    sizing        which size a thumbnail has (pure; also asked by the server)
    pictures      Pillow: measure, make thumbnails
    pages         selectolax: what a web page says about itself
"""
