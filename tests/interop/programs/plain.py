"""An agent that knows the OpenAI SDK and nothing of us: asks once, prints the answer."""

import sys

from openai import OpenAI

client = OpenAI()
reply = client.chat.completions.create(
    model="gpt-any",
    messages=[{"role": "system", "content": "Be quick."}, {"role": "user", "content": sys.argv[1]}],
)
print(reply.choices[0].message.content)
