"""Two programs with a connected pair of UNIX sockets between them.

Arguments: two command lines as JSON arrays, in which "{fd}" stands for the number of the program's socket. Prints a
line of JSON, both exit statuses, when both have ended.
"""

import json
import socket
import subprocess
import sys

programs = []
for command, end in zip(sys.argv[1:], socket.socketpair()):
    number = end.fileno()
    words = [word.replace("{fd}", str(number)) for word in json.loads(command)]
    programs.append(subprocess.Popen(words, pass_fds=[number]))
    end.close()
print(json.dumps([program.wait() for program in programs]))
