"""MiniWoB++: 129 small web pages, each with an instruction, judged by the page itself."""
