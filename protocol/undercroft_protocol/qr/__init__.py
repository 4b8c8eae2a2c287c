"""Messages as animated QR codes: formats, drawing, reading, cameras and screens."""
